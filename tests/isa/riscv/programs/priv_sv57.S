# Address translation with Sv57.
#define LEVELS 5
#define MODE 10
#include "priv_vm.inc"
