"""Tells compiled code from what a person writes, by how a file begins.

Rule: it is read inside the box and by the server; standard library only.
"""

HEAD_BYTES = 64  # of a file: enough for every sign here
SIGNS = (
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",  # Mach-O, of either width and byte order
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",  # a Java class, and Mach-O for several machines
    b"\0asm",
    b"!<arch>\n",
    b"!<thin>\n",
    b"BC\xc0\xde",  # LLVM's bitcode
    b"\x1bLua",
    b";ELC",
)
DOS_SIGN = b"MZ"  # two letters, with which a text may begin too
BEAM_SIGN, BEAM_KIND, BEAM_KIND_AT = b"FOR1", b"BEAM", 8


def is_compiled(head: bytes) -> bool:
    """Return True if a file that begins with these bytes is code for a machine, a virtual one included."""
    if head.startswith(SIGNS):
        return True
    if head.startswith(DOS_SIGN):
        return b"\0" in head
    return head.startswith(BEAM_SIGN) and head.startswith(BEAM_KIND, BEAM_KIND_AT)
