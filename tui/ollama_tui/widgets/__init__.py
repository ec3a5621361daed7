"""What two panes share."""
