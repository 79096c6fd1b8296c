"""Disk images: `image.BlockImage` is what a format offers, `raw` and `overlay` are the images there are, and
`drive.Drive` is what a disk device uses: an image, its cache mode, and requests that run in worker threads.
"""
