"""What comes in and goes out, checked: bytes of FITS, arrays and tables of others, and this project's own files."""
