"""Entity endpoints shared by the faces: decode, encode, Kong's error bodies."""
