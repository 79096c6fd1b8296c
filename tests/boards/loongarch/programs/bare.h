/* What programs share that look at the privileged side of a LoongArch core: the console, and `probe`, which runs a few instruction words
 * with given registers, privilege level and addresses, and tells how that ended. Every line that is printed is a fact to compare. */

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

/* --- control and status registers by name --------------------------------------------------------------------------------- */

enum {
    CRMD = 0x0, PRMD, EUEN, MISC, ECFG, ESTAT, ERA, BADV, BADI, EENTRY = 0xC,
    TLBIDX = 0x10, TLBEHI, TLBELO0, TLBELO1, ASID = 0x18, PGDL, PGDH, PGD, PWCL, PWCH, STLBPS, RVACFG,
    CPUID = 0x20, PRCFG1, PRCFG2, PRCFG3, SAVE0 = 0x30, TID = 0x40, TCFG, TVAL, CNTC, TICLR, LLBCTL = 0x60,
    TLBRENTRY = 0x88, TLBRBADV, TLBRERA, TLBRSAVE, TLBRELO0, TLBRELO1, TLBREHI, TLBRPRMD,
    DMW0 = 0x180, DMW1, DMW2, DMW3, PMCFG0 = 0x200, PMCNT0,
};

#define csr_read(number) ({ u64 v_; __asm__ volatile("csrrd %0, %1" : "=r"(v_) : "i"(number) : "memory"); v_; })
#define csr_write(number, value) \
    ({ u64 v_ = (value); __asm__ volatile("csrwr %0, %1" : "+r"(v_) : "i"(number) : "memory"); v_; })

#define iocsr_read(address) ({ u64 v_; __asm__ volatile("iocsrrd.w %0, %1" : "=r"(v_) : "r"((u64)(address)) : "memory"); v_; })
#define iocsr_write(address, value) __asm__ volatile("iocsrwr.w %0, %1" : : "r"((u64)(value)), "r"((u64)(address)) : "memory")

enum { IE = 4, DA = 8, PG = 16 };
enum { V = 1, D = 2, MAT = 1 << 4, G = 1 << 6, P = 1 << 7, W = 1 << 8, HUGE = 1 << 6, HUGE_G = 1 << 12 };
#define PLV(n) ((u64)(n) << 2)
#define NR (1ul << 61)
#define NX (1ul << 62)
#define RPLV (1ul << 63)
#define NE (1ul << 31)

/* --- instruction words, on a0 (4) and a1 (5) unless they say otherwise -------------------------------------------------------- */

enum {
    A0 = 4, A1, A2, A3, NOP = 0x03400000,
    TLBCLR = 0x06482000, TLBFLUSH = 0x06482400, TLBSRCH = 0x06482800, TLBRD = 0x06482C00, TLBWR = 0x06483000, TLBFILL = 0x06483400,
    ERTN = 0x06483800, LD_D = 0x28C00000 | A1 << 5 | A0, LD_W = 0x28800000 | A1 << 5 | A0, ST_W = 0x29800000 | A1 << 5 | A0, ST_D = 0x29C00000 | A1 << 5 | A0,
    SYSCALL = 0x002B0000, BREAK = 0x002A0000, FADD_D = 0x01010000, VADD_B = 0x700A0000, XVADD_B = 0x740A0000,
    RDTIME_D = 0x00006800 | A1 << 5 | A0, IDLE = 0x06488000, LDGT_D = 0x38798000 | A2 << 10 | A1 << 5 | A0,
    JUMP_A1 = 0x4C000000 | A1 << 5, AMADD_W = 0x38610000 | A2 << 10 | A1 << 5 | A0, LL_D = 0x22000000 | A1 << 5 | A0,
    SC_D = 0x23000000 | A1 << 5 | A0, CACOP_HIT = 0x06000000 | 0x11 | A1 << 5, IOCSRRD_W = 0x06480800 | A1 << 5 | A0,
};

static inline u32 csrrd(u32 csr, u32 rd) { return 0x04000000 | csr << 10 | rd; }
static inline u32 csrwr(u32 csr, u32 rd) { return 0x04000020 | csr << 10 | rd; }
static inline u32 csrxchg(u32 csr, u32 rd, u32 rj) { return 0x04000000 | csr << 10 | rj << 5 | rd; }
static inline u32 invtlb(u32 op) { return 0x06498000 | A1 << 10 | A0 << 5 | op; }
static inline u32 lddir(u32 level) { return 0x06400000 | level << 10 | A1 << 5 | A0; }
static inline u32 ldpte(u32 odd) { return 0x06440000 | odd << 10 | A1 << 5; }

/* --- console ---------------------------------------------------------------------------------------------------------------- */

#define UART ((volatile u8 *)0x1FE001E0ul)

static void put(char c)
{
    while (!(UART[5] & 0x20)) {}
    UART[0] = c;
}

static void text(const char *s)
{
    while (*s) put(*s++);
}

static void number(u64 v)
{
    int n = 60;
    while (n && !(v >> n & 15)) n -= 4;
    for (; n >= 0; n -= 4) put("0123456789abcdef"[v >> n & 15]);
}

static void field(const char *name, u64 v)
{
    put(' ');
    text(name);
    put('=');
    number(v);
}

static void line(const char *name, u64 v)
{
    text(name);
    text(": ");
    number(v);
    put('\n');
}

/* --- running instructions ----------------------------------------------------------------------------------------------------- */

struct frame {
    u64 a[4];                                      /* in: a0 to a3; out: what they became */
    u64 pc, prmd, crmd;                            /* in: where, at which level, and the mode to come back to */
    u64 kind;                                      /* 0: an ordinary exception, 1: a refill */
    u64 estat, era, badv, badi, prmd_then, crmd_then, tlbehi;
    u64 tlbrera, tlbrbadv, tlbrehi, tlbrprmd;
    u64 kept[13];
};

extern void enter(struct frame *f);
extern void general_entry(void), refill_entry(void), walk_entry(void);

/* Kept in SAVE1 while the program is away: the frame. SAVE2 and SAVE3 free two registers in the handlers. */
__asm__(
    ".text\n.balign 4096\n"
    ".globl general_entry\ngeneral_entry:\n"
    "csrwr $t0, 0x32\ncsrwr $t1, 0x33\ncsrrd $t0, 0x31\nst.d $zero, $t0, 56\nb common\n"
    ".balign 4096\n"
    ".globl refill_entry\nrefill_entry:\n"
    "csrwr $t0, 0x32\ncsrwr $t1, 0x33\ncsrrd $t0, 0x31\nori $t1, $zero, 1\nst.d $t1, $t0, 56\n"
    "common:\n"
    "st.d $a0, $t0, 0\nst.d $a1, $t0, 8\nst.d $a2, $t0, 16\nst.d $a3, $t0, 24\n"
    "csrrd $t1, 0x5\nst.d $t1, $t0, 64\ncsrrd $t1, 0x6\nst.d $t1, $t0, 72\ncsrrd $t1, 0x7\nst.d $t1, $t0, 80\n"
    "csrrd $t1, 0x8\nst.d $t1, $t0, 88\ncsrrd $t1, 0x1\nst.d $t1, $t0, 96\ncsrrd $t1, 0x0\nst.d $t1, $t0, 104\n"
    "csrrd $t1, 0x11\nst.d $t1, $t0, 112\ncsrrd $t1, 0x8a\nst.d $t1, $t0, 120\ncsrrd $t1, 0x89\nst.d $t1, $t0, 128\n"
    "csrrd $t1, 0x8e\nst.d $t1, $t0, 136\ncsrrd $t1, 0x8f\nst.d $t1, $t0, 144\n"
    "csrwr $zero, 0x8a\n"                          /* a refill is over */
    "ld.d $ra, $t0, 152\nld.d $sp, $t0, 160\nld.d $fp, $t0, 168\nld.d $s0, $t0, 176\nld.d $s1, $t0, 184\nld.d $s2, $t0, 192\n"
    "ld.d $s3, $t0, 200\nld.d $s4, $t0, 208\nld.d $s5, $t0, 216\nld.d $s6, $t0, 224\nld.d $s7, $t0, 232\nld.d $s8, $t0, 240\n"
    "ld.d $t1, $t0, 48\ncsrwr $t1, 0x0\njirl $zero, $ra, 0\n"
    ".globl enter\nenter:\n"
    "st.d $ra, $a0, 152\nst.d $sp, $a0, 160\nst.d $fp, $a0, 168\nst.d $s0, $a0, 176\nst.d $s1, $a0, 184\nst.d $s2, $a0, 192\n"
    "st.d $s3, $a0, 200\nst.d $s4, $a0, 208\nst.d $s5, $a0, 216\nst.d $s6, $a0, 224\nst.d $s7, $a0, 232\nst.d $s8, $a0, 240\n"
    "csrrd $t0, 0x0\nst.d $t0, $a0, 48\nmove $t0, $a0\ncsrwr $t0, 0x31\n"
    "ld.d $t0, $a0, 40\ncsrwr $t0, 0x1\nld.d $t0, $a0, 32\ncsrwr $t0, 0x6\n"
    "ld.d $a1, $a0, 8\nld.d $a2, $a0, 16\nld.d $a3, $a0, 24\nld.d $a0, $a0, 0\nertn\n"
    ".balign 4096\n"                               /* what operating systems do about a refill, with three levels of tables */
    ".globl walk_entry\nwalk_entry:\n"
    "csrwr $t0, 0x8b\ncsrrd $t0, 0x1b\nlddir $t0, $t0, 3\nlddir $t0, $t0, 1\nldpte $t0, 0\nldpte $t0, 1\ntlbfill\n"
    "csrrd $t0, 0x8b\nertn\n");

static struct frame frame;
static u64 arguments[4];
/* Where instructions are put to be run, and where loads and stores go; far from the program, which can be of any size. */
#define code ((u32 *)0x800000ul)
#define data ((u64 *)0xA00000ul)

static void arrange(const u32 *words, int count, u32 *at)
{
    for (int n = 0; n < count; n++) at[n] = words[n];
    at[count] = SYSCALL | 0x5A5;
    __asm__ volatile("dbar 0\n ibar 0" : : : "memory");
}

/* Run `words` at `pc`, which is where `at` is, at privilege level `level`, until the call that follows them or an exception. */
static struct frame *run(const u32 *words, int count, u32 *at, u64 pc, u64 level)
{
    arrange(words, count, at);
    for (int n = 0; n < 4; n++) frame.a[n] = arguments[n];
    frame.pc = pc;
    frame.prmd = level;
    enter(&frame);
    return &frame;
}

static int went_well(const struct frame *f)
{
    return f->kind == 0 && (f->estat >> 16 & 0x3FFF) == 0xB && (f->badi & 0x7FFF) == 0x5A5;
}

/* Tell how instructions ended: a0 and a1, or the exception with all that belongs to it. Addresses of code are distances. */
static void tell(const char *name, const struct frame *f)
{
    text(name);
    put(':');
    if (went_well(f)) {
        field("a0", f->a[0]);
        field("a1", f->a[1]);
    } else if (f->kind) {
        text(" refill");
        field("at", f->tlbrera - f->pc);
        field("badv", f->tlbrbadv);
        field("ehi", f->tlbrehi & ~0x1FFFul);
        field("prmd", f->tlbrprmd);
        field("crmd", f->crmd_then);
    } else {
        field("ecode", f->estat >> 16 & 0x3F);
        field("sub", f->estat >> 22 & 0x1FF);
        field("at", f->era - f->pc);
        field("prmd", f->prmd_then);
        field("crmd", f->crmd_then);
        u64 ecode = f->estat >> 16 & 0x3F;
        if (ecode >= 1 && ecode <= 10) field("badv", f->badv);
        if (ecode >= 1 && ecode <= 7) field("ehi", f->tlbehi);
        if (ecode != 0 && ecode != 3 && ecode != 6 && ecode != 8) field("badi", f->badi & 0xFFFFFFFF);
    }
    put('\n');
}

#define probe(name, level, ...) \
    ({ const u32 w_[] = {__VA_ARGS__}; tell(name, run(w_, sizeof w_ / 4, code, (u64)code, level)); })
#define quietly(...) ({ const u32 w_[] = {__VA_ARGS__}; run(w_, sizeof w_ / 4, code, (u64)code, 0); })

static void start(void)
{
    csr_write(EENTRY, (u64)general_entry);
    csr_write(TLBRENTRY, (u64)refill_entry);
}

_Noreturn static void finish(void)
{
    text("end\n");
    *(volatile u8 *)0x100E001Cul = 5 << 2 | 1 << 5;
    for (;;) {}
}

__asm__(
    ".section .text.start, \"ax\"\n.globl _start\n_start:\n"
    "la.local $sp, stack_top\nb main\n.text\n.bss\n.balign 16\n.space 16384\nstack_top:\n.text\n");
