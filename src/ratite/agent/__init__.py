"""`ratite-ga`: the agent that runs inside a guest and does what the host asks through a serial channel.

It speaks the protocol of QEMU's guest agent, version 7.1: JSON requests `{"execute": NAME, "arguments": {...}}`, each
answered with `{"return": ...}` or `{"error": {"class": ..., "desc": ...}}`. The package uses Python's standard library
and nothing else, not even the rest of Ratite, so that `ratite.agent.pack` can make one file of it for a guest.

`json_stream` finds requests in a stream, `command` declares commands and checks arguments, `agent` dispatches,
`channel` and `service` connect it with the host. `commands` holds the commands by subject; what they need of the
operating system comes from `system` (one module per system) and `linux` (readers of Linux's /proc, /sys and ioctls).
"""
