"""What boards have in common: loading images, finding firmware, writing device trees."""
