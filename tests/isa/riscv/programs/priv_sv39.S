# Address translation with Sv39.
#define LEVELS 3
#define MODE 8
#include "priv_vm.inc"
