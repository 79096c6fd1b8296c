/* Processes: fork, vfork, posix_spawn, execve in its variants, waiting, groups, what the program is told about itself. */
#include "check.h"
#include <elf.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

extern char **environ;
static char self[512];

static int again(int count, char **words) {
    if (!strcmp(words[1], "echo")) {
        for (int i = 1; i < count; i++) printf("[%s]", words[i]);
        printf(" name ends alike %d", !strcmp(words[0] + strlen(words[0]) - 7, "process"));
        for (char **v = environ; *v; v++) if (!strncmp(*v, "TEST_", 5)) printf("{%s}", *v);
        printf("\n");
        return 0;
    }
    if (!strcmp(words[1], "files")) {
        SHOW(fcntl(20, F_GETFD)); SHOW(fcntl(21, F_GETFD));
        return 0;
    }
    if (!strcmp(words[1], "signals")) {
        struct sigaction action;
        sigset_t mask;
        sigaction(SIGUSR1, NULL, &action); SHOW(action.sa_handler == SIG_DFL);
        sigaction(SIGUSR2, NULL, &action); SHOW(action.sa_handler == SIG_IGN);
        sigprocmask(SIG_BLOCK, NULL, &mask); SHOW(sigismember(&mask, SIGHUP)); SHOW(sigismember(&mask, SIGTERM));
        stack_t stack;
        sigaltstack(NULL, &stack); SHOW(stack.ss_flags == SS_DISABLE);
        return 0;
    }
    return atoi(words[1]);
}

static int run(char *const words[], char *const env[]) {
    int how;
    pid_t pid = fork();
    if (!pid) {
        execve(words[0], words, env);
        printf("execve errno %d\n", errno);
            _exit(99);
    }
    waitpid(pid, &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

static void script(const char *path, const char *text, int mode) {
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void handler(int signo) { (void)signo; }

int main(int count, char **words) {
    if (count > 1) return again(count, words);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    SHOW(length > 0);
    SHOW(!strcmp(strrchr(self, '/'), strrchr(words[0], '/')));
    char folder[] = "/tmp/ratite-process-XXXXXX", path[64];
    mkdtemp(folder);
    char *env[] = {"TEST_A=1", "TEST_B=two words", "OTHER=x", NULL}, *none[] = {NULL};

    SHOW(run((char *[]){self, "echo", "one", "", "three three", NULL}, env));
    SHOW(run((char *[]){self, "42", NULL}, none));
    SHOW(run((char *[]){"/nonexistent", NULL}, env));
    SHOW(run((char *[]){"/tmp", NULL}, env));
    snprintf(path, sizeof path, "%s/script", folder);
    char text[600];
    snprintf(text, sizeof text, "#! %s  echo  \nrest\n", self);
    script(path, text, 0755);
    SHOW(strlen(text) > 12);
    printf("script: ");
    pid_t pid = 0;
    int how, pipes[2];
    char got[1024] = "";
    pipe(pipes);
    if (!(pid = fork())) {
        dup2(pipes[1], 1);
        execl(path, "ignored", "argument", NULL);
        _exit(1);
    }
    close(pipes[1]);
    for (ssize_t n, at = 0; (n = read(pipes[0], got + at, sizeof got - 1 - at)) > 0; at += n) continue;
    waitpid(pid, &how, 0);
    SHOW(strstr(got, "[echo]") != NULL); SHOW(strstr(got, "/script]") != NULL); SHOW(strstr(got, "[argument]") != NULL);
    script(path, "#!/nonexistent/interpreter\n", 0755);
    SHOW(run((char *[]){path, NULL}, env));
    script(path, "no program at all\n", 0755);
    SHOW(run((char *[]){path, NULL}, env));
    script(path, "#!/bin/sh\n", 0644);
    chmod(path, 0644);
    SHOW(run((char *[]){path, NULL}, env));
    unlink(path);
    rmdir(folder);

    /* what survives execve */
    dup2(0, 20); dup2(0, 21);
    fcntl(20, F_SETFD, FD_CLOEXEC);
    SHOW(run((char *[]){self, "files", NULL}, env));
    sigset_t mask;
    sigemptyset(&mask); sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGUSR1, handler); signal(SIGUSR2, SIG_IGN);
    SHOW(run((char *[]){self, "signals", NULL}, env));
    int fd = open(self, O_RDONLY | O_CLOEXEC);
    if (!(pid = fork())) {
        char *run_words[] = {"by-fd", "33", NULL};
        syscall(SYS_execveat, fd, "", run_words, env, AT_EMPTY_PATH);
        _exit(1);
    }
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));

    /* posix_spawn: success, and a failure that comes back through shared memory */
    SHOW(posix_spawn(&pid, self, NULL, NULL, (char *[]){self, "11", NULL}, env));
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    SHOW(posix_spawn(&pid, self, &actions, NULL, (char *[]){self, "echo", "unseen", NULL}, env));
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));
    FILE *command = popen("exit 6", "r");
    SHOW(WEXITSTATUS(pclose(command)));
    SHOW(WEXITSTATUS(system("exit 5")));
    pid = vfork();
    if (!pid) _exit(23);
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));

    /* waiting */
    TRY(wait(NULL));
    if (!(pid = fork())) { pause(); _exit(0); }
    TRY(waitpid(pid, &how, WNOHANG));
    kill(pid, SIGKILL);
    siginfo_t info;
    TRY(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    SHOW(info.si_code == CLD_KILLED); SHOW(info.si_status); SHOW(info.si_pid == pid);
    struct rusage usage = {0};
    SHOW(wait4(pid, &how, 0, &usage) == pid); SHOW(usage.ru_utime.tv_sec);
    if (!(pid = fork())) { setpgid(0, 0); _exit(getpgrp() == getpid() ? 3 : 4); }
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));
    if (!(pid = fork())) _exit(setsid() == getpid() ? 3 : 4);
    waitpid(pid, &how, 0);
    SHOW(WEXITSTATUS(how));

    /* what the program is told */
    struct utsname name;
    uname(&name);
    printf("%s\n", name.sysname);
#ifdef __riscv
    if (strcmp(name.machine, __riscv_xlen == 64 ? "riscv64" : "riscv32")) printf("machine %s\n", name.machine);
    if (~getauxval(AT_HWCAP) & 0x112d) printf("hwcap %lx\n", getauxval(AT_HWCAP));
#endif
    SHOW(getauxval(AT_PAGESZ)); SHOW(getauxval(AT_CLKTCK)); SHOW(getauxval(AT_SECURE)); SHOW(getauxval(AT_PHENT));
    SHOW(!strcmp((char *)getauxval(AT_EXECFN), words[0])); SHOW(getauxval(AT_UID) == getuid());
    struct rlimit limit;
    SHOW(getrlimit(RLIMIT_STACK, &limit)); SHOW(limit.rlim_cur > 0);
    limit.rlim_cur = 64;
    SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64})); SHOW(getrlimit(RLIMIT_NOFILE, &limit)); SHOW(limit.rlim_cur);
    TRY(dup2(0, 64));
    char title[16] = "";
    TRY(prctl(PR_SET_NAME, "renamed")); TRY(prctl(PR_GET_NAME, title));
    printf("%s\n", title);
    TRY(prctl(12345, 0));
    cpu_set_t cpus;
    SHOW(sched_getaffinity(0, sizeof cpus, &cpus)); SHOW(CPU_COUNT(&cpus) > 0);
    FILE *file = fopen("/proc/self/cmdline", "r");
    char line[600] = "";
    SHOW(fread(line, 1, sizeof line - 1, file) == strlen(words[0]) + 1);
    SHOW(!strcmp(line, words[0]));
    fclose(file);
    return 0;
}
