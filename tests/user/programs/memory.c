/* Memory: mmap in its variants, mprotect, mremap, brk, madvise, code written at run time, bad arguments. */
#include "check.h"
#include <sys/syscall.h>

#define PAGE 4096L
static char *volatile sink;

static char *anonymous(void *where, long pages, int flags) {
    return mmap(where, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static int lines_with(const char *text) {
    char line[512];
    int found = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, file)) found += strstr(line, text) != NULL;
    fclose(file);
    return found;
}

int main(void) {
    char *a = anonymous(NULL, 8, 0), *b;
    SHOW(a != MAP_FAILED && !((long)a % PAGE));
    for (int i = 0; i < 8; i++) a[i * PAGE] = i + 1;
    SHOW(munmap(a + 2 * PAGE, 2 * PAGE));
    b = anonymous(a + 2 * PAGE, 1, 0);
    SHOW(b == a + 2 * PAGE); SHOW(b[0]);
    SHOW(anonymous(a + 3 * PAGE, 1, MAP_FIXED_NOREPLACE) == a + 3 * PAGE);
    TRY((long)anonymous(a + 3 * PAGE, 1, MAP_FIXED_NOREPLACE));
    SHOW(anonymous(a + 4 * PAGE, 1, MAP_FIXED) == a + 4 * PAGE);
    SHOW(a[4 * PAGE]); SHOW(a[5 * PAGE]);
    TRY((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    TRY((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0));
    TRY((long)mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    TRY((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 0, 123));
    TRY((long)mmap((void *)123, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0));
    TRY((long)mmap(NULL, -PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    TRY(munmap(a + 1, PAGE));
    TRY(munmap(a, 0));
    TRY(munmap((char *)-PAGE, 2 * PAGE));

    TRY(mprotect(a, PAGE, PROT_READ));
    SHOW(a[0]);
    SHOW(write(1, a, 0));
    int zero = open("/dev/zero", O_RDONLY);
    TRY(read(zero, a, 10));
    TRY(mprotect(a, PAGE, PROT_READ | PROT_WRITE));
    TRY(read(zero, a, 10));
    SHOW(munmap(a + 6 * PAGE, PAGE));
    TRY(mprotect(a + 5 * PAGE, 3 * PAGE, PROT_READ));
    TRY(mprotect(a + 1, PAGE, PROT_READ));
    SHOW(munmap(a, 8 * PAGE));

    /* files, private and shared */
    FILE *file = tmpfile();
    for (int i = 0; i < 5000; i++) fputc('a' + i % 26, file);
    fflush(file);
    char *mine = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    char *ours = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    char *later = mmap(NULL, 904, PROT_READ, MAP_SHARED, fileno(file), PAGE);
    mine[0] = 'M'; ours[PAGE] = 'S';
    SHOW(mine[0]); SHOW(ours[0]); SHOW(later[0]); SHOW(mine[PAGE]); SHOW(later[904]);
    TRY(msync(ours, 5000, MS_SYNC));
    char byte = 0;
    pread(fileno(file), &byte, 1, PAGE);
    SHOW(byte);
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!fork()) { shared[7] = 42; mine[1] = 'C'; _exit(0); }
    wait(NULL);
    SHOW(shared[7]); SHOW(mine[1]);

    /* mremap */
    a = anonymous(NULL, 4, 0);
    for (int i = 0; i < 4; i++) a[i * PAGE] = 10 + i;
    SHOW(mremap(a, 4 * PAGE, 2 * PAGE, 0) == a);
    b = mremap(a, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    SHOW(b != MAP_FAILED); SHOW(b[PAGE]); SHOW(b[2 * PAGE]); SHOW(b[63 * PAGE]);
    char *place = anonymous(NULL, 64, 0);
    SHOW(mremap(b, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place + PAGE) == place + PAGE);
    SHOW(place[2 * PAGE]);
    TRY((long)mremap(b, PAGE, PAGE, MREMAP_FIXED, place));
    TRY((long)mremap(b, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    b = mremap(ours, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    SHOW(b != MAP_FAILED); SHOW(b[PAGE]);

    /* advice */
    a = anonymous(NULL, 2, 0);
    a[0] = 5; a[PAGE] = 6;
    TRY(madvise(a, PAGE, MADV_DONTNEED));
    SHOW(a[0]); SHOW(a[PAGE]);
    TRY(madvise(a, PAGE, 12345));
    TRY(madvise(a, PAGE, MADV_DONTFORK));
    unsigned char in_core[2] = {9, 9};
    TRY(mincore(a, 2 * PAGE, in_core));
    SHOW(in_core[1] & 1);
    TRY(mlock(a, PAGE)); TRY(munlock(a, PAGE));

    /* the heap */
    char *end = sbrk(0);
    SHOW(sbrk(3 * PAGE) == end);
    end[3 * PAGE - 1] = 1;
    SHOW((char *)sbrk(0) - end);
    SHOW(sbrk(-3 * PAGE) != (void *)-1);
    SHOW((long)sbrk(0) == (long)end);
    sink = malloc(10000000);
    memset(sink, 1, 10000000);
    free(sink);

    /* code made at run time: return a number, then another */
    unsigned *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 1; i < 4; i++) {
        RETURN_NUMBER(code, i);
        __builtin___clear_cache((char *)code, (char *)(code + 2));
        SHOW(((int (*)(void))code)());
    }
    unsigned *window = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 7; i < 9; i++) {
        mprotect(window, PAGE, PROT_READ | PROT_WRITE);
        RETURN_NUMBER(window, i);
        mprotect(window, PAGE, PROT_READ | PROT_EXEC);
        SHOW(((int (*)(void))window)());
    }

    SHOW(lines_with("[stack]")); SHOW(lines_with("[heap]") > 0); SHOW(lines_with("memory") > 0);
    return 0;
}
