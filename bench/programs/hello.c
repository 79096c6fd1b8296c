/* The least that a program can do; for measuring how long an emulator takes to start. */
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
