/* The benchmark protocol for Spin, one transition for each step of kvm_protocol.py.
   Set with -D: V vcpus, I invalidators, NV pages, NP frames (1..3 each), K rounds, BUG.
   Equal state counts need spin -a -o2: dead variables stay. */
#ifndef V
#define V 2
#endif
#ifndef I
#define I 1
#endif
#ifndef NV
#define NV 2
#endif
#ifndef NP
#define NP 2
#endif
#ifndef K
#define K 1
#endif

/* pte, spte and tlb hold a frame + 1, owner a page + 1; 0 is none. */
byte lock, in_progress, seq;
byte pte[NV], spte[NV], owner[NP], refs[NP], tlb[V];

#define PUT(frame) refs[frame]--; if :: refs[frame] == 0 -> owner[frame] = 0 :: else fi
#define FREE(frame) (pte[page] == 0 && owner[frame] == 0)
#define MAP(frame, count) owner[frame] = page + 1; refs[frame] = count; pte[page] = frame + 1
#define NONE_FREE (pte[page] != 0 || (owner[0] != 0 && owner[NP - 1] != 0 && owner[NP / 2] != 0))
#define AGAIN n < K - 1
#define LAST n == K - 1
#define ROUND page = 0; n++
#define ACCESS if :: tlb[_pid] != 0 -> assert(owner[tlb[_pid] - 1] == page + 1) :: else fi

active [V] proctype vcpu() {
    byte n, page, frame, snapshot;
pick:
    if
    :: page = 0
#if NV > 1
    :: page = 1
#endif
#if NV > 2
    :: page = 2
#endif
    fi;
retry:
    snapshot = seq;
    if
    :: d_step { pte[page] != 0 -> frame = pte[page] - 1; refs[frame]++ }
    :: d_step { FREE(0) -> MAP(0, 2); frame = 0 }
#if NP > 1
    :: d_step { FREE(1) -> MAP(1, 2); frame = 1 }
#endif
#if NP > 2
    :: d_step { FREE(2) -> MAP(2, 2); frame = 2 }
#endif
    fi;
    d_step { lock == 0 -> lock = 1 };
    if
#ifndef BUG
    :: (in_progress > 0 || seq != snapshot) ->
        lock = 0;
        d_step { PUT(frame); frame = 0; snapshot = 0 };
        goto retry
#endif
    :: else
    fi;
    spte[page] = frame + 1;
    lock = 0;
    d_step { PUT(frame); frame = 0; snapshot = 0 };
    if
    :: d_step { spte[page] != 0 -> tlb[_pid] = spte[page] }
    :: d_step { spte[page] == 0 && AGAIN -> ROUND } -> goto pick
    :: d_step { spte[page] == 0 && LAST -> ROUND } -> goto done
    fi;
    if
    :: d_step { AGAIN -> ACCESS; tlb[_pid] = 0; ROUND } -> goto pick
    :: d_step { LAST -> ACCESS; tlb[_pid] = 0; ROUND } -> goto done
    fi;
done:
end:
    false
}

active [I] proctype invalidate() {
    byte n, page, old;
pick:
    if
    :: page = 0
#if NV > 1
    :: page = 1
#endif
#if NV > 2
    :: page = 2
#endif
    fi;
    d_step { lock == 0 -> lock = 1 };
    in_progress++;
    spte[page] = 0;
    d_step {
        tlb[0] = 0;
#if V > 1
        tlb[1] = 0;
#endif
#if V > 2
        tlb[2] = 0;
#endif
    };
    lock = 0;
    d_step { old = pte[page]; pte[page] = 0 };
    d_step { if :: old != 0 -> PUT((old - 1)) :: else fi; old = 0 };
    d_step { lock == 0 -> lock = 1 };
    seq++;
    in_progress--;
    lock = 0;
    if
    :: d_step { NONE_FREE && AGAIN -> ROUND } -> goto pick
    :: d_step { NONE_FREE && LAST -> ROUND } -> goto done
    :: d_step { FREE(0) && AGAIN -> MAP(0, 1); ROUND } -> goto pick
    :: d_step { FREE(0) && LAST -> MAP(0, 1); ROUND } -> goto done
#if NP > 1
    :: d_step { FREE(1) && AGAIN -> MAP(1, 1); ROUND } -> goto pick
    :: d_step { FREE(1) && LAST -> MAP(1, 1); ROUND } -> goto done
#endif
#if NP > 2
    :: d_step { FREE(2) && AGAIN -> MAP(2, 1); ROUND } -> goto pick
    :: d_step { FREE(2) && LAST -> MAP(2, 1); ROUND } -> goto done
#endif
    fi;
done:
end:
    false
}
