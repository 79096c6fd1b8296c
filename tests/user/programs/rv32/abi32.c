/* A 32-bit program without a C library: the calls whose 32-bit form differs, offsets and times of 64 bits, signals. */
typedef unsigned int u32;
typedef unsigned long long u64;

static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = e, a5 __asm__("a5") = f, a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return a0;
}
#define C(n, ...) C_(n, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define C_(n, a, b, c, d, e, f, ...) call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static int length(const char *text) { int n = 0; while (text[n]) n++; return n; }
static void put(const char *text) { C(64, 1, text, length(text)); }
static void show(const char *name, long value) {
    char digits[12];
    for (int i = 0; i < 8; i++) digits[i] = "0123456789abcdef"[(u32)value >> (28 - 4 * i) & 15];
    digits[8] = '\n'; digits[9] = 0;
    put(name); put(" "); put(digits);
}

struct timespec64 { long long sec, nsec; };
struct siginfo32 { int signo, error, code, pid, uid, value; };
static volatile struct siginfo32 seen;
static volatile int handled, altered;

static void handler(int signo, struct siginfo32 *info, void *context) {
    (void)context;
    seen = *info;
    handled = signo;
}

static void mend(int signo, struct siginfo32 *info, u32 *context) {
    (void)signo;
    altered = info->pid;          /* si_addr */
    context[160 / 4] += 4;        /* pc: skip the store */
}

static void on(int signo, void *function, u32 flags) {
    struct { void *handler; u32 flags; u32 mask[2]; } action = {function, 4 | flags, {0, 0}};
    show("sigaction", C(134, signo, &action, 0, 8));
}

static int word;

void *memset(void *where, int value, u32 size) {
    for (char *at = where; size--; at++) *(volatile char *)at = value;
    return where;
}

void _start(void) {
    char buffer[512];
    u32 pair[2];
    u64 position = 0;
    const char *name = "/tmp/ratite-abi32";
    long fd = C(56, -100, name, 0102, 0600);
    show("pwrite64", C(68, fd, "far", 3, 7, 1));
    show("llseek", C(62, fd, 0, 0, &position, 2));
    show("position high", position >> 32); show("position low", position);
    show("ftruncate64", C(46, fd, 10, 2));
    show("statx", C(291, fd, "", 0x1000, 0x7ff, buffer));
    show("size low", *(u32 *)(buffer + 40)); show("size high", *(u32 *)(buffer + 44));
    show("statfs64", C(43, name, 88, buffer));
    show("namelen", *(u32 *)(buffer + 56));
    struct { short type, whence; int pad; long long start, size; int pid; } lock = {1, 0, 0, 5, 10, 0};
    show("fcntl64", C(25, fd, 13, &lock));
    show("mmap2", (u32)C(222, 0, 4096, 1, 2, fd, 1) > 0xfffff000u);
    show("unlinkat", C(35, -100, name, 0));
    char *memory = (char *)C(222, 0, 8192, 3, 0x22, -1, 0);
    memory[8191] = 5;
    show("memory", memory[8191]);

    struct timespec64 time = {0, 0}, wait = {0, 2000000};
    show("clock_gettime64", C(403, 0, &time));
    show("after 2020", time.sec > 1577836800);
    show("clock_nanosleep", C(407, 1, 0, &wait, 0));
    wait.nsec = 1000000;
    show("futex timeout", C(422, &word, 0, 0, &wait));
    show("futex value", C(422, &word, 0, 1, &wait));
    show("ppoll", C(414, 0, 0, &wait, 0, 8));
    show("getrusage", C(165, 0, buffer));
    struct { int interval_sec, interval_usec, sec, usec; } timer = {0, 0, 0, 5000}, old;
    on(14, handler, 0);
    show("setitimer", C(103, 0, &timer, &old));
    show("pipe2", C(59, pair, 0));
    show("interrupted", C(63, pair[0], buffer, 1));
    show("signal", handled); show("code", seen.code);
    struct siginfo32 queued = {40, 0, -1, 0, 0, 0x1234567};
    char whole[128] = {0};
    for (unsigned i = 0; i < sizeof queued; i++) whole[i] = ((char *)&queued)[i];
    on(40, handler, 0);
    show("sigqueue", C(138, C(172, 0), 40, whole));
    show("signal", handled); show("code", seen.code); show("value", seen.value);
    on(11, mend, 0);
    *(volatile int *)0x1230 = 1;
    show("fault address", altered);

    long child = C(220, 17, 0, 0, 0, 0);
    if (!child) {
        C(64, pair[1], "child", 5);
        C(94, 33, 0);
    }
    show("read", C(63, pair[0], buffer, 16));
    struct { int signo, error, code, pid, uid, status; char rest[104]; } info;
    show("waitid", C(95, 1, child, &info, 4, 0));
    show("status", info.status); show("code", info.code); show("pid", info.pid == child);
    struct { void *base; u32 size; } vector[2] = {{"two ", 4}, {"pieces\n", 7}};
    show("writev", C(66, 1, vector, 2));
    u32 sockets[2];
    show("socketpair", C(199, 1, 1, 0, sockets));
    struct { u32 size; int level, type, fd; } control = {16, 1, 1, 1};
    struct { void *name; u32 name_size; void *vectors; u32 count; void *control; u32 control_size, flags; }
        message = {0, 0, vector, 2, &control, sizeof control, 0};
    show("sendmsg", C(211, sockets[0], &message, 0));
    control.fd = -1;
    vector[0].base = buffer; vector[0].size = 11;
    message.count = 1;
    show("recvmsg", C(212, sockets[1], &message, 0));
    show("control size", message.control_size); show("passed", control.fd > 2); show("type", control.type);
    show("prlimit64", C(261, 0, 7, 0, buffer));
    show("sysinfo", C(179, buffer));
    show("no wait4", C(260, -1, 0, 0, 0));
    C(94, 12, 0);
}
