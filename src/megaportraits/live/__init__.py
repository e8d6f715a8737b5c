"""Avatars that follow a webcam, on a web page of one's own machine."""
