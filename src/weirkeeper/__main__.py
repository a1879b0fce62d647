"""`python -m weirkeeper` is `weir`."""

from weirkeeper.cli.main import main

if __name__ == "__main__":
    main()
