"""Making a guest out of Debian's packages, with no root rights and nothing installed.

`guest` is what the rest of Ratite calls; `apt` downloads, `cpio` packs, `sysroot` unpacks packages for user-mode
programs.
"""
