/* Signals: handlers, masks, siginfo, alternate stacks, faults, restart, timers, default actions. */
#include "check.h"
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static sigjmp_buf jump;
static volatile sig_atomic_t count, last;
static volatile long info_code, info_value;
static void *volatile info_address;
static char *page;
static char stack[65536];
static int handled[2] = {-1, -1};    /* tells a child that a handler has run */

static void simple(int signo) { count++; last = signo; }

static void detailed(int signo, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    count++;
    last = signo;
    info_code = info->si_code;
    info_value = info->si_value.sival_int;
    info_address = info->si_addr;
    (void)uc;
    if (handled[1] >= 0 && write(handled[1], "h", 1) != 1) _exit(8);
}

static void fault(int signo, siginfo_t *info, void *context) {
    char here;
    (void)context;
    info_code = info->si_code;
    info_address = info->si_addr;
    last = signo;
    count = &here >= stack && &here < stack + sizeof stack;
    siglongjmp(jump, 1);
}

static void unprotect(int signo, siginfo_t *info, void *context) {
    (void)signo; (void)context; (void)info;
    count++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void on(int signo, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    sigaction(signo, &action, NULL);
}

static void status(const char *what, int how) {
    if (WIFEXITED(how)) printf("%s: exit %d\n", what, WEXITSTATUS(how));
    else if (WIFSIGNALED(how)) printf("%s: signal %d\n", what, WTERMSIG(how));
    else if (WIFSTOPPED(how)) printf("%s: stopped %d\n", what, WSTOPSIG(how));
    else if (WIFCONTINUED(how)) printf("%s: continued\n", what);
}

static void child(const char *what, void (*body)(void)) {
    int how;
    pid_t pid = fork();
    if (!pid) { body(); _exit(7); }
    waitpid(pid, &how, 0);
    status(what, how);
}

static void null_write(void) { *(volatile int *)16 = 1; }
static void bad_jump(void) { ((void (*)(void))0x123454)(); }
static void data_jump(void) { static int code[2] = {0x13, 0x13}; ((void (*)(void))code)(); }
static void illegal(void) { __asm__ volatile(ILLEGAL); }
static void trap(void) { __asm__ volatile(BREAKPOINT); }
static void self_kill(void) { kill(getpid(), SIGKILL); }
static void self_term(void) { raise(SIGTERM); }
static void self_segv(void) { raise(SIGSEGV); }
static void do_abort(void) { abort(); }
static void ignored_fault(void) { signal(SIGSEGV, SIG_IGN); *(volatile int *)16 = 1; }
static void blocked_fault(void) {
    sigset_t all; sigfillset(&all); sigprocmask(SIG_SETMASK, &all, NULL); *(volatile int *)16 = 1;
}
static void broken_pipe(void) { int p[2]; if (pipe(p)) return; close(p[0]); if (write(p[1], "x", 1)) return; }
static void overflow(void) { volatile char room[100000]; room[0] = 1; overflow(); room[1] = room[0]; }

int main(void) {
    struct sigaction action = {.sa_handler = simple}, old;
    sigset_t set, before;

    TRY(sigaction(SIGUSR1, &action, &old));
    SHOW(old.sa_handler == SIG_DFL);
    TRY(sigaction(SIGUSR1, NULL, &old));
    SHOW(old.sa_handler == simple);
    TRY(sigaction(SIGKILL, &action, NULL));
    TRY(raise(SIGUSR1));
    SHOW(count); SHOW(last);

    /* blocked, pending, freed */
    sigemptyset(&set); sigaddset(&set, SIGUSR1); sigaddset(&set, SIGUSR2);
    TRY(sigprocmask(SIG_BLOCK, &set, &before));
    raise(SIGUSR1); raise(SIGUSR1);
    SHOW(count);
    sigset_t pending;
    sigpending(&pending);
    SHOW(sigismember(&pending, SIGUSR1)); SHOW(sigismember(&pending, SIGUSR2));
    TRY(sigprocmask(SIG_SETMASK, &before, NULL));
    SHOW(count);

    /* siginfo of queued signals, and real-time order */
    on(SIGRTMIN + 3, detailed, 0);
    sigemptyset(&set); sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 1; i <= 3; i++) { union sigval v = {.sival_int = i * 111}; sigqueue(getpid(), SIGRTMIN + 3, v); }
    siginfo_t info;
    SHOW(sigwaitinfo(&set, &info) == SIGRTMIN + 3);
    SHOW(info.si_value.sival_int); SHOW(info.si_code); SHOW(info.si_pid == getpid());
    count = 0;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    SHOW(count); SHOW(info_value); SHOW(info_code);
    struct timespec no_time = {0, 1000000};
    TRY(sigtimedwait(&set, &info, &no_time));

    /* reset and one-shot, nodefer */
    on(SIGUSR2, detailed, SA_RESETHAND);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &old);
    SHOW(old.sa_handler == SIG_DFL); SHOW(info_code); SHOW(last);

    /* faults with siginfo, on the alternate stack, left by longjmp */
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack}, read_back;
    TRY(sigaltstack(&alternate, NULL));
    on(SIGSEGV, fault, SA_ONSTACK); on(SIGBUS, fault, SA_ONSTACK); on(SIGILL, fault, SA_ONSTACK); on(SIGTRAP, fault, 0);
    page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(jump, 1)) *(volatile int *)24 = 1;
    printf("signal %d code %ld address %ld on stack %d\n", (int)last, info_code, (long)info_address, (int)count);
    if (!sigsetjmp(jump, 1)) page[123] = 1;
    printf("signal %d code %ld offset %ld on stack %d\n", (int)last, info_code, (char *)info_address - page, (int)count);
    munmap(page + 4096, 4096);
    if (!sigsetjmp(jump, 1)) SHOW(*(volatile long *)(page + 4090));
    printf("signal %d code %ld page %ld on stack %d\n", (int)last, info_code, ((char *)info_address - page) / 4096, (int)count);
    if (!sigsetjmp(jump, 1)) ((void (*)(void))0x5000)();
    printf("signal %d code %ld address %ld\n", (int)last, info_code, (long)info_address);
    if (!sigsetjmp(jump, 1)) __asm__ volatile(ILLEGAL);
    printf("signal %d\n", (int)last);
    if (!sigsetjmp(jump, 1)) __asm__ volatile(BREAKPOINT);
    printf("signal %d\n", (int)last);
    FILE *file = tmpfile();
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
    if (!sigsetjmp(jump, 1)) SHOW(map[5]);
    printf("signal %d code %ld offset %ld\n", (int)last, info_code, (char *)info_address - map);
    TRY(sigaltstack(NULL, &read_back));
    SHOW(read_back.ss_flags); SHOW(read_back.ss_size == sizeof stack);

    /* a handler that mends the fault: the access is done again */
    count = 0;
    on(SIGSEGV, unprotect, 0);
    page[5] = 77;
    SHOW(page[5]); SHOW(count);
    signal(SIGSEGV, SIG_DFL); signal(SIGBUS, SIG_DFL); signal(SIGILL, SIG_DFL); signal(SIGTRAP, SIG_DFL);

    /* interrupted calls */
    int pipes[2];
    char byte;
    TRY(pipe(pipes));
    struct itimerval once = {.it_value = {0, 20000}}, again = {.it_value = {0, 20000}, .it_interval = {0, 20000}}, off = {0};
    on(SIGALRM, detailed, 0);
    setitimer(ITIMER_REAL, &again, NULL);    /* again and again: the first may come before the call sleeps */
    TRY(read(pipes[0], &byte, 1));
    setitimer(ITIMER_REAL, &off, NULL);
    SHOW(last); SHOW(info_code);
    on(SIGALRM, detailed, SA_RESTART);
    TRY(pipe(handled));
    if (!fork()) {
        if (read(handled[0], &byte, 1) != 1 || write(pipes[1], "z", 1) != 1) _exit(1);
        _exit(0);
    }
    count = 0;
    setitimer(ITIMER_REAL, &once, NULL);
    TRY(read(pipes[0], &byte, 1));    /* goes on after the handler, which lets the child write */
    SHOW(byte); SHOW(count);
    wait(NULL);
    handled[1] = -1;
    struct timespec wait_time = {100, 0}, rest;
    setitimer(ITIMER_REAL, &again, NULL);
    TRY(nanosleep(&wait_time, &rest));
    setitimer(ITIMER_REAL, &off, NULL);
    SHOW(rest.tv_sec < 100 && rest.tv_nsec > 0);

    /* while computing */
    count = 0;
    setitimer(ITIMER_REAL, &once, NULL);
    while (!count) continue;
    SHOW(count);

    /* sigsuspend */
    sigemptyset(&set); sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, &before);
    setitimer(ITIMER_REAL, &once, NULL);
    count = 0;
    TRY(sigsuspend(&before));
    SHOW(count);
    sigprocmask(SIG_SETMASK, NULL, &set);
    SHOW(sigismember(&set, SIGALRM));
    sigprocmask(SIG_SETMASK, &before, NULL);

    /* a child's end, and default actions as the parent sees them */
    on(SIGCHLD, detailed, SA_RESTART);
    child("term", self_term);
    SHOW(last == SIGCHLD); SHOW(info_code);
    signal(SIGCHLD, SIG_DFL);
    child("null", null_write); child("jump", bad_jump); child("data", data_jump); child("illegal", illegal); child("trap", trap);
    child("kill", self_kill);
    child("segv", self_segv); child("abort", do_abort); child("ignored", ignored_fault); child("blocked", blocked_fault);
    child("pipe", broken_pipe);
    child("overflow", overflow);

    /* job control */
    int how;
    pid_t pid = fork();
    if (!pid) { raise(SIGSTOP); for (;;) pause(); }
    waitpid(pid, &how, WUNTRACED); status("stop", how);
    kill(pid, SIGCONT);
    waitpid(pid, &how, WCONTINUED); status("cont", how);
    kill(pid, SIGINT);
    waitpid(pid, &how, 0); status("end", how);

    /* a computing child is killed at once */
    pid = fork();
    if (!pid) for (;;) continue;
    kill(pid, SIGTERM);
    waitpid(pid, &how, 0); status("busy", how);
    return 0;
}
