"""Readers of what Linux tells about itself: /proc, /sys, netlink, ioctls."""
