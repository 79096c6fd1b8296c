/* The signals of faults, sent by somebody: to threads that compute or are in system calls most of the time, and to processes. */
#include "check.h"
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

enum { ROUNDS = 40 };

static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
static atomic_int handled[65], wrong, done, code, value, sender;
static atomic_long worked;
static atomic_int target;

static void handler(int signo, siginfo_t *info, void *context)
{
    (void)context;
    code = info->si_code;
    value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
    sender = info->si_pid;
    wrong += syscall(SYS_gettid) != target;
    handled[signo]++;
}

static void *calls(void *unused)
{
    (void)unused;
    target = syscall(SYS_gettid);
    while (!done) {
        worked++;
        if (syscall(SYS_getppid) <= 0 || sched_getcpu() < -1)
            wrong++;
    }
    return 0;
}

static void *sums(void *unused)
{
    (void)unused;
    target = syscall(SYS_gettid);
    for (volatile uint64_t n = 0; !done; n++)
        worked++;
    return 0;
}

static void *sleeps(void *unused)
{
    struct timespec moment = {0, 20000};
    (void)unused;
    target = syscall(SYS_gettid);
    while (!done) {
        worked++;
        nanosleep(&moment, 0);
    }
    return 0;
}

static void wait_for(int signo, int count)
{
    while (handled[signo] != count)
        sched_yield();
}

static void to_a_thread(const char *what, void *(*work)(void *))
{
    pthread_t thread;
    done = target = 0;
    pthread_create(&thread, 0, work, 0);
    while (!target)
        sched_yield();
    for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        handled[numbers[n]] = 0;
        for (int round = 0; round < ROUNDS; round++) {
            long before = worked;
            while (worked < before + round % 3)
                sched_yield();
            syscall(SYS_tgkill, getpid(), target, numbers[n]);
            wait_for(numbers[n], round + 1);
            wrong += code != SI_TKILL || sender != getpid();
        }
        printf("%s: signal %d handled %d times\n", what, numbers[n], handled[numbers[n]]);
    }
    done = 1;
    pthread_join(thread, 0);
    SHOW(wrong);
}

/* All of them at once: each is handled once at least, and nothing else happens. */
static void many_at_once(void)
{
    pthread_t thread;
    done = target = 0;
    pthread_create(&thread, 0, calls, 0);
    while (!target)
        sched_yield();
    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++)
            handled[numbers[n]] = 0;
        for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++)
            syscall(SYS_tgkill, getpid(), target, numbers[n]);
        for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++)
            wait_for(numbers[n], 1);
    }
    done = 1;
    pthread_join(thread, 0);
    SHOW(wrong);
}

static void to_oneself(void)
{
    target = syscall(SYS_gettid);
    for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        int signo = numbers[n];
        sigset_t one, waiting;
        handled[signo] = 0;
        raise(signo);
        SHOW(handled[signo]);
        kill(getpid(), signo);
        SHOW(handled[signo]);
        SHOW(code == SI_USER);
        SHOW(sender == getpid());
        sigqueue(getpid(), signo, (union sigval){.sival_int = 77});
        SHOW(handled[signo]);
        SHOW(value);
        sigemptyset(&one);
        sigaddset(&one, signo);
        sigprocmask(SIG_BLOCK, &one, 0);
        kill(getpid(), signo);
        kill(getpid(), signo);
        SHOW(handled[signo]);
        sigpending(&waiting);
        SHOW(sigismember(&waiting, signo));
        sigprocmask(SIG_UNBLOCK, &one, 0);
        SHOW(handled[signo]);
        sigpending(&waiting);
        SHOW(sigismember(&waiting, signo));
        signal(signo, SIG_IGN);
        kill(getpid(), signo);
    }
    SHOW(wrong);
}

static void to_another_process(void)
{
    for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        int pipes[2], status;
        char byte;
        if (pipe(pipes))
            exit(1);
        pid_t child = fork();
        if (!child) {
            target = syscall(SYS_gettid);
            signal(numbers[n], SIG_DFL);
            if (write(pipes[1], "r", 1) != 1)
                _exit(1);
            for (;;)
                getppid();
        }
        if (read(pipes[0], &byte, 1) != 1)
            exit(1);
        kill(child, numbers[n]);
        waitpid(child, &status, 0);
        SHOW(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++)
        sigaction(numbers[n], &action, 0);
    to_a_thread("in calls", calls);
    to_a_thread("in sums", sums);
    to_a_thread("asleep", sleeps);
    many_at_once();
    to_oneself();
    to_another_process();
    return 0;
}
