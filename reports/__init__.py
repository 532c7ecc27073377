"""A study made readable: tables, figures and one HTML page, drawn from the study alone."""
