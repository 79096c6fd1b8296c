# Address translation with Sv32.
#define LEVELS 2
#define MODE 1
#include "priv_vm.inc"
