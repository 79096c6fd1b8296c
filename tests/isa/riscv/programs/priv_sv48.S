# Address translation with Sv48.
#define LEVELS 4
#define MODE 9
#include "priv_vm.inc"
