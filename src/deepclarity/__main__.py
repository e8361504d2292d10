"""`python -m deepclarity`."""

from deepclarity.cli import main

if __name__ == "__main__":
    main()
