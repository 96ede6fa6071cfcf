"""What every room stands on: errors that users see, whole files, the meaning of classes. Standard library only."""
