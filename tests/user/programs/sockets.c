/* Sockets, messages with descriptors, and waiting: poll, select, epoll, eventfd, timerfd, signalfd, inotify. */
#include "check.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static void pass_descriptor(void) {
    int pair[2], pipes[2], received;
    char control[CMSG_SPACE(sizeof(int))], text[16] = "";
    struct iovec vector[] = {{"des", 3}, {"criptor", 7}}, into = {text, sizeof text};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pipe(pipes);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET; head->cmsg_type = SCM_RIGHTS; head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &pipes[1], sizeof(int));
    TRY(sendmsg(pair[0], &message, 0));
    memset(control, 0, sizeof control);
    message = (struct msghdr){.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    TRY(recvmsg(pair[1], &message, 0));
    printf("%s, control %ld flags %d\n", text, (long)message.msg_controllen, message.msg_flags);
    head = CMSG_FIRSTHDR(&message);
    SHOW(head->cmsg_type == SCM_RIGHTS);
    memcpy(&received, CMSG_DATA(head), sizeof received);
    TRY(write(received, "through", 7));
    TRY(read(pipes[0], text, 16));
    printf("%.7s\n", text);
    TRY(sendmsg(pair[0], (struct msghdr *)8, 0));
    struct mmsghdr many[2] = {0};
    char first[4] = "", second[4] = "";
    struct iovec parts[2] = {{first, 3}, {second, 3}};
    int dgram[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram);
    send(dgram[0], "one", 3, 0); send(dgram[0], "two", 3, 0);
    for (int i = 0; i < 2; i++) { many[i].msg_hdr.msg_iov = &parts[i]; many[i].msg_hdr.msg_iovlen = 1; }
    TRY(recvmmsg(dgram[1], many, 2, 0, NULL));
    printf("%s %u %s %u\n", first, many[0].msg_len, second, many[1].msg_len);
    TRY(sendmmsg(dgram[1], many, 2, 0));
    SHOW(many[1].msg_len);
}

static void internet(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer;
    socklen_t length = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, got = 0;
    TRY(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    TRY(bind(server, (struct sockaddr *)&address, sizeof address));
    TRY(listen(server, 5));
    TRY(getsockname(server, (struct sockaddr *)&address, &length));
    SHOW(length);
    if (!fork()) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        char text[16] = "";
        connect(client, (struct sockaddr *)&address, sizeof address);
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        send(client, "ping", 4, 0);
        if (recv(client, text, 16, MSG_WAITALL) != 4) _exit(1);
        _exit(!!strcmp(text, "pong"));
    }
    length = sizeof peer;
    int connection = accept4(server, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC), how;
    SHOW(peer.sin_family); SHOW(peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    char text[16] = "";
    TRY(recv(connection, text, 4, 0));
    TRY(sendto(connection, "pong", 4, 0, NULL, 0));
    shutdown(connection, SHUT_WR);
    wait(&how);
    SHOW(how);
    length = sizeof got;
    TRY(getsockopt(connection, SOL_SOCKET, SO_TYPE, &got, &length));
    SHOW(got); SHOW(length);
    TRY(getsockopt(connection, SOL_SOCKET, SO_ERROR, &got, &length));
    struct timeval limit = {0, 20000};
    TRY(setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    TRY(recv(udp, text, 16, 0));
    address.sin_port = 0;
    bind(udp, (struct sockaddr *)&address, sizeof address);
    getsockname(udp, (struct sockaddr *)&address, &length);
    length = sizeof address;
    getsockname(udp, (struct sockaddr *)&address, &length);
    TRY(sendto(udp, "datagram", 8, 0, (struct sockaddr *)&address, sizeof address));
    TRY(recvfrom(udp, text, 16, 0, (struct sockaddr *)&peer, &length));
    SHOW(peer.sin_port == address.sin_port);
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons(1);
    TRY(connect(refused, (struct sockaddr *)&address, sizeof address));
    TRY(socket(AF_INET, 77, 0));
    TRY(bind(999, (struct sockaddr *)&address, sizeof address));
    struct ifreq interface = {0};
    strcpy(interface.ifr_name, "lo");
    TRY(ioctl(udp, SIOCGIFFLAGS, &interface));
    SHOW(!!(interface.ifr_flags & IFF_LOOPBACK));
    struct ifreq list[10];
    struct ifconf configuration = {.ifc_len = sizeof list, .ifc_req = list};
    TRY(ioctl(udp, SIOCGIFCONF, &configuration));
    SHOW(configuration.ifc_len % sizeof(struct ifreq));
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(name.sun_path + 1, 90, "ratite-%d", getpid());
    TRY(bind(local, (struct sockaddr *)&name, sizeof name));
}

static void polling(void) {
    int pipes[2], set = epoll_create1(EPOLL_CLOEXEC), event = eventfd(3, EFD_NONBLOCK);
    uint64_t value = 0;
    pipe(pipes);
    struct pollfd files[] = {{pipes[0], POLLIN, 0}, {pipes[1], POLLOUT, 0}, {999, POLLIN, 0}};
    TRY(poll(files, 3, 0));
    printf("%d %d %d\n", files[0].revents, files[1].revents, files[2].revents);
    TRY(poll(files, 1, 10));
    fd_set reading;
    struct timeval limit = {0, 10000};
    FD_ZERO(&reading); FD_SET(pipes[0], &reading);
    TRY(select(pipes[0] + 1, &reading, NULL, NULL, &limit));
    SHOW(limit.tv_usec);
    TRY(read(event, &value, 8)); SHOW(value);
    TRY(read(event, &value, 8));
    struct epoll_event wanted = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0}, ready[4];
    TRY(epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &wanted));
    TRY(epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &wanted));
    wanted.data.u64 = 5;
    TRY(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted));
    TRY(epoll_wait(set, ready, 4, 5));
    if (write(pipes[1], "x", 1) != 1) exit(1);
    TRY(epoll_wait(set, ready, 4, -1));
    printf("%x %lx\n", ready[0].events, (long)ready[0].data.u64);
    TRY(epoll_ctl(set, EPOLL_CTL_DEL, pipes[0], NULL));
    value = 7;
    TRY(write(event, &value, 8));
    TRY(epoll_wait(set, ready, 4, -1));
    SHOW(ready[0].data.u64);
    TRY(epoll_wait(set, ready, 0, -1));

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec time = {{0, 0}, {0, 5000000}}, rest;
    TRY(timerfd_settime(timer, 0, &time, NULL));
    TRY(read(timer, &value, 8)); SHOW(value);
    TRY(timerfd_gettime(timer, &rest)); SHOW(rest.it_value.tv_nsec);

    sigset_t mask;
    sigemptyset(&mask); sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int signals = signalfd(-1, &mask, SFD_NONBLOCK);
    struct signalfd_siginfo info;
    TRY(read(signals, &info, sizeof info));
    kill(getpid(), SIGUSR1);
    TRY(read(signals, &info, sizeof info));
    SHOW(info.ssi_signo); SHOW(info.ssi_pid == (uint32_t)getpid());

    int notify = inotify_init1(IN_NONBLOCK);
    char folder[] = "/tmp/ratite-notify-XXXXXX", path[64], events[512];
    mkdtemp(folder);
    SHOW(inotify_add_watch(notify, folder, IN_CREATE) > 0);
    snprintf(path, sizeof path, "%s/new", folder);
    close(open(path, O_CREAT | O_WRONLY, 0644));
    SHOW(read(notify, events, sizeof events) > 0);
    struct inotify_event *first = (void *)events;
    printf("%x %s\n", first->mask, first->name);
    unlink(path); rmdir(folder);
}

int main(void) {
    pass_descriptor();
    internet();
    polling();
    return 0;
}
