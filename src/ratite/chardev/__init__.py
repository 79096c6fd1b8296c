"""Character devices: where the bytes of serial ports, consoles and monitors come from and go to.

`loop.IoLoop` is the thread that waits for files; `base.Chardev` is what a front end (a UART, a virtio console port)
sees; one file holds one back end; `manager.Chardevs` makes them from `-serial` and `-chardev`. Nothing is imported
here, so that `-version` stays quick.
"""
