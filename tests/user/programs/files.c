/* Files: opening, positions, vectors, status, links, folders, locks, attributes of descriptors. */
#include "check.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <utime.h>

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void status(const char *path) {
    struct stat s;
    struct statx x;
    TRY(lstat(path, &s));
    printf("mode %o links %ld size %ld blksize>0 %d\n", s.st_mode, (long)s.st_nlink, (long)s.st_size, s.st_blksize > 0);
    if (S_ISREG(s.st_mode)) printf("mtime %ld.%09ld\n", (long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    TRY(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_ALL, &x));
    printf("statx mode %o size %ld same inode %d same device %d\n", x.stx_mode, (long)x.stx_size, x.stx_ino == s.st_ino,
           makedev(x.stx_dev_major, x.stx_dev_minor) == s.st_dev);
}

int main(void) {
    char folder[] = "/tmp/ratite-files-XXXXXX", buffer[64] = "";
    if (!mkdtemp(folder) || chdir(folder)) return 1;
    umask(022);
    int fd;
    TRY(open("absent", O_RDONLY));
    TRY(open("", O_RDONLY));
    TRY(open((char *)8, O_RDONLY));
    SHOW((fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0640)) > 2);
    TRY(open("a", O_RDWR | O_CREAT | O_EXCL, 0640));
    TRY(write(fd, "hello, world\n", 13));
    TRY(write(fd, (char *)8, 13));
    TRY(lseek(fd, 7, SEEK_SET));
    TRY(read(fd, buffer, 5));
    printf("%s\n", buffer);
    TRY(read(fd, (char *)8, 5));
    TRY(read(fd, buffer, 64));
    TRY(pread(fd, buffer, 5, 0));
    printf("%.5s\n", buffer);
    TRY(pwrite(fd, "J", 1, 0));
    TRY(pwrite(fd, "end", 3, (off_t)5 << 32));
    TRY(lseek(fd, 0, SEEK_END));
    TRY(ftruncate(fd, 13));
    char one[4] = "", two[16] = "";
    struct iovec vector[] = {{one, 3}, {two, 15}};
    TRY(preadv(fd, vector, 2, 1));
    printf("[%s][%s]\n", one, two);
    TRY(writev(fd, vector, 2));
    TRY(readv(fd, vector, -1));
    TRY(readv(fd, (struct iovec *)8, 2));
    struct timespec times[2] = {{1000000000, 123456789}, {1234567890, 987654321}};
    TRY(futimens(fd, times));
    status("a");
    TRY(fchmod(fd, 0600));
    TRY(link("a", "b"));
    TRY(symlink("nowhere", "c"));
    TRY(rename("b", "d"));
    status("c");
    status("d");
    memset(buffer, 0, sizeof buffer);
    TRY(readlink("c", buffer, sizeof buffer));
    printf("%s\n", buffer);
    TRY(readlink("a", buffer, sizeof buffer));
    TRY(access("a", R_OK));
    TRY(access("c", F_OK));
    TRY(mkdir("dir", 0755));
    TRY(mkdir("dir", 0755));
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    TRY(close(openat(dir, "inner", O_WRONLY | O_CREAT, 0644)));
    TRY(unlinkat(dir, "nothing", 0));
    TRY(rmdir("dir"));
    TRY(open("a", O_RDONLY | O_DIRECTORY));
    TRY(open("c", O_RDONLY | O_NOFOLLOW));
    struct dirent **list;
    int count = scandir(".", &list, NULL, by_name);
    for (int i = 0; i < count; i++) printf("%s type %d\n", list[i]->d_name, list[i]->d_type);
    TRY(fcntl(fd, F_GETFL) & O_ACCMODE);
    TRY(fcntl(fd, F_SETFL, O_APPEND));
    SHOW(!!(fcntl(fd, F_GETFL) & O_APPEND));
    TRY(fcntl(fd, F_SETFD, FD_CLOEXEC));
    TRY(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 100) >= 100);
    TRY(dup2(fd, 50));
    TRY(dup3(fd, fd, 0));
    TRY(fcntl(99, F_GETFL));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 4};
    TRY(fcntl(fd, F_SETLK, &lock));
    if (fork() == 0) {
        struct flock other = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
        TRY(fcntl(fd, F_GETLK, &other));
        printf("type %d start %ld len %ld mine %d\n", other.l_type, (long)other.l_start, (long)other.l_len,
               other.l_pid == getppid());
        TRY(fcntl(fd, F_SETLK, &other));
        _exit(0);
    }
    wait(NULL);
    TRY(flock(fd, LOCK_EX | LOCK_NB));
    struct statfs fs;
    TRY(statfs(".", &fs));
    SHOW(fs.f_bsize > 0 && fs.f_blocks > 0 && fs.f_namelen == 255);
    TRY(ioctl(fd, TCGETS, buffer));
    TRY(ioctl(fd, 0x12345678, buffer));
    int left = -1;
    lseek(fd, 0, SEEK_SET);
    TRY(ioctl(fd, FIONREAD, &left));
    SHOW(left > 0);
    SHOW(syscall(SYS_memfd_create, "x", 0) >= 0);
    TRY(fallocate(fd, 0, 0, 8192));
    TRY(lseek(fd, 0, SEEK_END));
    char cwd[256];
    SHOW(!strcmp(getcwd(cwd, sizeof cwd), folder));
    TRY(syscall(SYS_getcwd, cwd, 3));
    TRY(truncate("d", 3));
    TRY(syscall(SYS_close_range, 40, 60, 0));
    TRY(close(50));
    TRY(unlink("a")); TRY(unlink("c")); TRY(unlink("d")); TRY(unlinkat(dir, "inner", 0)); TRY(rmdir("dir"));
    TRY(rmdir(folder));
    TRY(syscall(9999, 1, 2, 3));
    return 0;
}
