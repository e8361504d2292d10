"""Commands that say something about the installation."""
