"""The programs that Ratite installs. Each is a table of options and a few lines that hand the result to the library."""
