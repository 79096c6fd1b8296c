/* Clocks, sleeping, POSIX timers, resource use, system information. */
#include "check.h"
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/random.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static volatile sig_atomic_t ticks;
static volatile int value;

static void tick(int signo, siginfo_t *info, void *context) {
    (void)signo; (void)context;
    ticks++;
    value = info->si_value.sival_int;
}

static void ipc(void) {
    struct { long type; char text[16]; } message = {5, "queued"};
    int queue = msgget(IPC_PRIVATE, 0600);
    TRY(msgsnd(queue, &message, 7, 0));
    memset(&message, 0, sizeof message);
    TRY(msgrcv(queue, &message, 16, 0, 0));
    printf("%ld %s\n", message.type, message.text);
    TRY(msgrcv(queue, &message, 16, 0, IPC_NOWAIT));
    struct msqid_ds queue_status;
    TRY(msgctl(queue, IPC_STAT, &queue_status));
    SHOW(queue_status.msg_qnum); SHOW(queue_status.msg_perm.mode);
    TRY(msgctl(queue, IPC_RMID, NULL));
    int group = semget(IPC_PRIVATE, 3, 0600);
    TRY(semctl(group, 1, SETVAL, 4));
    struct sembuf operation = {1, -3, 0};
    TRY(semop(group, &operation, 1));
    TRY(semctl(group, 1, GETVAL));
    struct semid_ds semaphore_status;
    TRY(semctl(group, 0, IPC_STAT, &semaphore_status));
    SHOW(semaphore_status.sem_nsems); SHOW(semaphore_status.sem_otime > 0);
    operation.sem_flg = IPC_NOWAIT;
    TRY(semop(group, &operation, 1));
    TRY(semctl(group, 0, IPC_RMID));
    int segment = shmget(IPC_PRIVATE, 10000, 0600);
    char *memory = shmat(segment, NULL, 0), *second = shmat(segment, NULL, SHM_RDONLY);
    SHOW(memory != (void *)-1);
    memory[9999] = 9;
    SHOW(second[9999]);
    struct shmid_ds segment_status;
    TRY(shmctl(segment, IPC_STAT, &segment_status));
    SHOW(segment_status.shm_segsz); SHOW(segment_status.shm_nattch);
    TRY(shmdt(second)); TRY(shmdt(memory)); TRY(shmdt(memory));
    TRY(shmctl(segment, IPC_RMID, NULL));
}

int main(void) {
    struct timespec a, b;
    OK(clock_gettime(CLOCK_REALTIME, &a));
    SHOW(a.tv_sec > 1600000000);
    TRY(clock_gettime(12345, &a));
    TRY(clock_getres(CLOCK_MONOTONIC, &a));
    SHOW(a.tv_nsec);
    clock_gettime(CLOCK_MONOTONIC, &a);
    struct timespec pause = {0, 3000000};
    TRY(nanosleep(&pause, NULL));
    TRY(clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL));
    clock_gettime(CLOCK_MONOTONIC, &b);
    SHOW((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 6000000);
    TRY(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, NULL));
    TRY(nanosleep(&(struct timespec){0, -1}, NULL));
    struct timeval now;
    TRY(gettimeofday(&now, NULL));
    SHOW(labs(now.tv_sec - time(NULL)) <= 1);

    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 321};
    timer_t timer;
    TRY(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec period = {{0, 4000000}, {0, 4000000}}, rest;
    TRY(timer_settime(timer, 0, &period, NULL));
    while (ticks < 3) continue;
    SHOW(value);
    TRY(timer_gettime(timer, &rest));
    SHOW(rest.it_interval.tv_nsec);
    OK(timer_getoverrun(timer));
    TRY(timer_delete(timer));

    struct rusage usage;
    TRY(getrusage(RUSAGE_SELF, &usage));
    SHOW(usage.ru_maxrss > 0);
    TRY(getrusage(77, &usage));
    struct tms spent;
    OK(times(&spent));
    struct sysinfo info;
    TRY(sysinfo(&info));
    SHOW(info.totalram > 0 && info.procs > 0 && info.mem_unit > 0);
    char bytes[16] = {0}, zero[16] = {0};
    TRY(getrandom(bytes, 16, 0));
    SHOW(memcmp(bytes, zero, 16) != 0);
    struct timex adjust = {0};
    OK(adjtimex(&adjust));
    SHOW(adjust.tick > 0);
    OK(getpriority(PRIO_PROCESS, 0));
    struct sched_param parameters;
    TRY(sched_getparam(0, &parameters));
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(getpriority(PRIO_PROCESS, 0));
    ipc();
    return 0;
}
