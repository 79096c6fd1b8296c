/* What the test programs share. Every line they print is the same on every Linux machine, so that a run under an
   emulator can be compared with a run of the same source, compiled for the host, on the host's kernel. */
#ifndef CHECK_H
#define CHECK_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Print an expression's text and value. */
#define SHOW(expression) printf("%s = %ld\n", #expression, (long)(expression))

/* Print the result of a call, and errno where it failed. */
#define TRY(call) do { \
    errno = 0; \
    long result_ = (long)(call); \
    if (result_ == -1) printf("%s = -1 errno %d\n", #call, errno); \
    else printf("%s = %ld\n", #call, result_); \
} while (0)

/* Print whether a call succeeded, where its value is not the same everywhere. */
#define OK(call) do { \
    errno = 0; \
    int good_ = (long)(call) != -1; \
    printf("%s: %s %d\n", #call, good_ ? "ok" : "failed", good_ ? 0 : errno); \
} while (0)

/* Lines come out in the order of events, also through a pipe. */
__attribute__((constructor)) static void line_by_line(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

#if defined __riscv
#define ILLEGAL ".word 0xffffffff"
#define BREAKPOINT "ebreak"
/* li a0, n; ret */
#define RETURN_NUMBER(code, n) ((code)[0] = 0x00000513 | (unsigned)(n) << 20, (code)[1] = 0x00008067)
#elif defined __loongarch__
#define ILLEGAL ".word 0"
#define BREAKPOINT "break 0"
/* ori a0, zero, n; jirl zero, ra, 0 */
#define RETURN_NUMBER(code, n) ((code)[0] = 0x03800004 | (unsigned)(n) << 10, (code)[1] = 0x4c000020)
#elif defined __x86_64__
#define ILLEGAL "ud2"
#define BREAKPOINT "int3"
/* mov eax, n; ret */
#define RETURN_NUMBER(code, n) ((code)[0] = 0xb8 | (unsigned)(n) << 8, (code)[1] = 0xc300)
#endif
#endif
