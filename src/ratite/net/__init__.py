"""Where the frames of network cards go: `base.NetBackend` is what a card sees, one file holds one back end, and
`options.Netdevs` makes them from `-netdev`, `-nic` and `-net`.
"""
