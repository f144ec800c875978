"""``python -m herenow``: the command line."""

from herenow.cli import main

if __name__ == "__main__":
    main()
