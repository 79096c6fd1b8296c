// What Go's runtime asks of a system: threads, timers, signals for preemption and for faults, stacks that move, collection of garbage.
package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type tree struct {
	left, right *tree
	value       int
}

func grow(depth, value int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{grow(depth-1, 2*value), grow(depth-1, 2*value+1), value}
}

func (t *tree) sum() int {
	if t == nil {
		return 0
	}
	return t.value + t.left.sum() + t.right.sum()
}

// Garbage in several goroutines, collected while they run.
func garbage() {
	var group sync.WaitGroup
	var total int64
	for n := 0; n < 4; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 8; round++ {
				atomic.AddInt64(&total, int64(grow(10, 1).sum()))
			}
		}()
	}
	debug.FreeOSMemory()
	group.Wait()
	runtime.GC()
	fmt.Println("garbage", total)
}

// Numbers that go through a row of goroutines.
func sieve() {
	source := make(chan int)
	go func(to chan<- int) {
		for n := 2; ; n++ {
			to <- n
		}
	}(source)
	primes := []string{}
	for len(primes) < 40 {
		prime := <-source
		primes = append(primes, fmt.Sprint(prime))
		next := make(chan int)
		go func(from <-chan int) {
			for n := range from {
				if n%prime != 0 {
					next <- n
				}
			}
		}(source)
		source = next
	}
	fmt.Println("primes", strings.Join(primes, " "))
}

// A loop without calls, which only a signal can interrupt.
func preempted() {
	runtime.GOMAXPROCS(1)
	var stop int32
	count := 0
	go func() { atomic.StoreInt32(&stop, 1) }()
	for atomic.LoadInt32(&stop) == 0 {
		count++
	}
	runtime.GOMAXPROCS(4)
	fmt.Println("preempted", count > 0)
}

func faults() {
	try := func(name string, f func()) {
		defer func() { fmt.Println(name, recover()) }()
		f()
	}
	var nobody *tree
	zero, few := 0, make([]int, 3)
	try("nil", func() { nobody.value++ })
	try("divide", func() { fmt.Println(1 / zero) })
	try("index", func() { few[zero+5]++ })
}

func deep(n int) int {
	var room [100]int
	room[n%100] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + room[n%100]
}

func main() {
	garbage()
	sieve()
	preempted()
	faults()
	fmt.Println("deep", deep(20000))

	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("signal", <-caught)

	// Not both at once: when the second is due before the first has been taken, either may come.
	late, later := time.After(5*time.Millisecond), (<-chan time.Time)(nil)
	for n := 0; n < 2; n++ {
		select {
		case <-late:
			fmt.Println("late")
			later = time.After(20 * time.Millisecond)
		case <-later:
			fmt.Println("later")
		}
	}

	words := map[string]int{}
	for n := 0; n < 3000; n++ {
		words[fmt.Sprintf("%x", n*7919%1009)]++
	}
	names := make([]string, 0, len(words))
	for name, count := range words {
		names = append(names, fmt.Sprint(name, count))
	}
	sort.Strings(names)
	fmt.Printf("%d words, %x\n", len(names), sha256.Sum256([]byte(strings.Join(names, ","))))
	fmt.Println(math.Sqrt(2), math.Pow(3, 0.3), math.Sin(1e6), float32(1)/3, math.Inf(-1), math.MaxInt64, 1<<40/7)
	fmt.Println(runtime.GOOS, runtime.NumGoroutine() > 0)
	os.Exit(7)
}
