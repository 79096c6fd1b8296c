/* Threads: mutexes, conditions, semaphores, thread-local data, signals, cancellation, fork, the end of a process. */
#include "check.h"
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { THREADS = 6, ROUNDS = 3000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long plain, turn;
static atomic_long atomic;
static __thread long local;
static sem_t semaphore;
static volatile sig_atomic_t hits;
static pthread_key_t key;
static int destroyed;

static void *counting(void *argument) {
    long me = (long)argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        plain++;
        pthread_mutex_unlock(&mutex);
        atomic_fetch_add(&atomic, me);
        local += me;
    }
    return (void *)local;
}

static void *in_turn(void *argument) {
    long me = (long)argument;
    for (int i = 0; i < 5; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % THREADS != me) pthread_cond_wait(&changed, &mutex);
        if (i == 4) printf("thread %ld, turn %ld\n", me, turn);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void hit(int signo) { (void)signo; hits++; sem_post(&semaphore); }

static void *waiting(void *argument) {
    sigset_t set;
    int got = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    (void)argument;
    sem_post(&semaphore);
    sigwait(&set, &got);
    return (void *)(long)got;
}

static void *sleeping(void *argument) {
    (void)argument;
    sem_post(&semaphore);
    for (;;) pause();
    return NULL;
}

static void *computing(void *argument) {
    volatile long *stop = argument;
    sem_post(&semaphore);
    while (!*stop) continue;
    return (void *)5;
}

static void destroy(void *value) { destroyed += (int)(long)value; }

static void *with_key(void *argument) { pthread_setspecific(key, argument); return NULL; }

static void *forking(void *argument) {
    (void)argument;
    pid_t pid = fork();
    int how;
    if (!pid) {
        pthread_t again;
        void *result;
        local = 0;
        pthread_create(&again, NULL, counting, (void *)2);
        pthread_join(again, &result);
        _exit((long)result == 2 * ROUNDS ? 9 : 1);
    }
    waitpid(pid, &how, 0);
    return (void *)(long)WEXITSTATUS(how);
}

int main(void) {
    pthread_t thread[THREADS];
    void *result;
    sem_init(&semaphore, 0, 0);

    for (long i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, counting, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++) { pthread_join(thread[i], &result); SHOW((long)result); }
    SHOW(plain); SHOW(atomic); SHOW(local);

    for (long i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, in_turn, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    SHOW(turn);

    sigset_t set;
    sigemptyset(&set); sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread[0], NULL, waiting, NULL);
    sem_wait(&semaphore);
    pthread_kill(thread[0], SIGUSR2);
    pthread_join(thread[0], &result);
    SHOW((long)result == SIGUSR2);

    signal(SIGUSR1, hit);
    volatile long stop = 0;
    pthread_create(&thread[0], NULL, sleeping, NULL);
    pthread_create(&thread[1], NULL, computing, (void *)&stop);
    sem_wait(&semaphore); sem_wait(&semaphore);
    pthread_kill(thread[0], SIGUSR1);
    while (sem_wait(&semaphore)) continue;
    pthread_kill(thread[1], SIGUSR1);
    while (sem_wait(&semaphore)) continue;
    SHOW(hits);
    stop = 1;
    pthread_cancel(thread[0]);
    pthread_join(thread[0], &result);
    SHOW(result == PTHREAD_CANCELED);
    pthread_join(thread[1], &result);
    SHOW((long)result);

    pthread_key_create(&key, destroy);
    for (long i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, with_key, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    SHOW(destroyed);

    pthread_mutexattr_t robust;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    static pthread_mutex_t orphan;
    pthread_mutex_init(&orphan, &robust);
    pthread_create(&thread[0], NULL, (void *(*)(void *))pthread_mutex_lock, &orphan);
    pthread_join(thread[0], NULL);
    SHOW(pthread_mutex_lock(&orphan) == EOWNERDEAD);

    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 10000000;
    if (soon.tv_nsec >= 1000000000) { soon.tv_sec++; soon.tv_nsec -= 1000000000; }
    pthread_mutex_lock(&mutex);
    SHOW(pthread_cond_timedwait(&changed, &mutex, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&mutex);

    pthread_create(&thread[0], NULL, forking, NULL);
    pthread_join(thread[0], &result);
    SHOW((long)result);
    SHOW(syscall(SYS_gettid) == getpid());

    /* the process ends with its last thread, when the first one is gone */
    pid_t pid = fork();
    int how;
    if (!pid) {
        stop = 0;
        pthread_create(&thread[1], NULL, computing, (void *)&stop);
        stop = 1;
        pthread_exit(NULL);
    }
    waitpid(pid, &how, 0);
    SHOW(WIFEXITED(how)); SHOW(WEXITSTATUS(how));

    /* exit_group with threads that compute and sleep */
    pid = fork();
    if (!pid) {
        stop = 0;
        pthread_create(&thread[1], NULL, computing, (void *)&stop);
        pthread_create(&thread[0], NULL, sleeping, NULL);
        sem_wait(&semaphore); sem_wait(&semaphore);
        _exit(4);
    }
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));

    /* execve from a thread */
    pid = fork();
    if (!pid) {
        stop = 0;
        pthread_create(&thread[1], NULL, computing, (void *)&stop);
        pthread_create(&thread[0], NULL, sleeping, NULL);
        sem_wait(&semaphore); sem_wait(&semaphore);
        execl("/proc/self/exe", "threads", "again", NULL);
        _exit(6);
    }
    waitpid(pid, &how, 0);
    SHOW(WIFEXITED(how)); SHOW(WEXITSTATUS(how));
    return 0;
}

__attribute__((constructor)) static void started_again(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "again")) _exit(17);
}
