"""What carriers ask for a parcel."""
