"""What was odd about the pictures of a data set, and about the folders that they came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from training.pictures.copies import NO_COPIES, Copies
from training.pictures.deep import NO_SCALES, Scales
from training.pictures.names import few


@dataclass(frozen=True)
class Findings:
    """What was found besides pictures that are as they should be.

    passed_over: (kind, count) of hidden and system files and folders that were not looked into.
    unlabelled: how many pictures lay beside the class folders, and are not used.
    copies: how many pictures are equal to another one, and what that means for the splits.
    scales: which values became black and white in pictures of more than 8 bits.
    doubtful: (path, reason) of every picture that was read and may not show what it should, as one
        that is nearly one colour.
    """

    passed_over: tuple[tuple[str, int], ...] = ()
    unlabelled: int = 0
    copies: Copies = NO_COPIES
    scales: Scales = NO_SCALES
    doubtful: tuple[tuple[str, str], ...] = ()

    def remarks(self) -> list[str]:
        """In a few words each, of one line, with a few names; none where there is nothing odd."""
        return [*self._places(), *self._copies(), *self._pictures()]

    def _places(self) -> Iterator[str]:
        if self.unlabelled:
            yield f"{self.unlabelled:,} beside the class folders not used"
        if passed := sum(count for _, count in self.passed_over):
            yield f"{passed:,} hidden or system files and folders passed over"

    def _copies(self) -> Iterator[str]:
        found = self.copies
        if found.total:
            aside = f", {found.left_out:,} pictures left out for it" if found.left_out else ""
            yield f"{found.total:,} copies{aside}"
        if found.leaked:
            yield f"{found.leaked:,} of the given validation or test pictures are in training too"
        if found.conflicts:
            yield f"{found.conflicts:,} in two classes at once ({few(found.example)})"

    def _pictures(self) -> Iterator[str]:
        for scale in self.scales:
            if scale is not None:
                yield f"values {scale.black:g} to {scale.white:g} from black to white"
        for reason in dict.fromkeys(reason for _, reason in self.doubtful):
            paths = [path for path, why in self.doubtful if why == reason]
            yield f"{len(paths):,} {reason} ({few(paths)})"
