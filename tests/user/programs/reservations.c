/* Conditional stores that never come to their end: a thread is in the middle of one while another forks, or takes the memory away. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 40
#define CHANGES 1000

static atomic_ulong *count;
static atomic_int stop;
static atomic_ulong rounds;

static void again(int number) {}

static void *counting(void *unused) {
    while (!stop) {
        unsigned long seen = *count;
        atomic_compare_exchange_weak(count, &seen, seen + 1);
        rounds++;
    }
    return NULL;
}

int main(void) {
    count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, again);
    pthread_t thread;
    pthread_create(&thread, NULL, counting, NULL);
    int counted = 0;
    for (int n = 0; n < FORKS; n++) {
        pid_t child = fork();
        if (!child) {
            for (;;) {
                unsigned long seen = *count;
                if (atomic_compare_exchange_strong(count, &seen, seen + 1)) _exit(0);
            }
        }
        int status;
        counted += waitpid(child, &status, 0) == child && status == 0;
    }
    printf("%d children counted\n", counted);
    for (int n = 0; n < CHANGES; n++) {
        mprotect(count, 4096, PROT_READ);
        for (volatile int wait = 0; wait < 50; wait++) {}
        mprotect(count, 4096, PROT_READ | PROT_WRITE);
        for (volatile int wait = 0; wait < 300; wait++) {}
    }
    unsigned long before = rounds;
    while (rounds == before) usleep(1000);
    stop = 1;
    pthread_join(thread, NULL);
    printf("and goes on\n");
    return 0;
}
