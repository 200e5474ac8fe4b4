"""Heavy-to-light optical flow: a large teacher, and how the codec's network learns."""
