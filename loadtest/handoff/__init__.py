"""What applications notice of a promotion, a rollback, a new version, and a champion that stands still."""
