/* The same protocol at the granularity of statements, with two pages: one Promela statement for
   each statement of a source text. Set with -D: V, I, NP (2..3), K, BUG. */
#ifndef V
#define V 2
#endif
#ifndef I
#define I 1
#endif
#ifndef NP
#define NP 2
#endif
#ifndef K
#define K 1
#endif

/* Pages and frames count from 1; 0 is none. */
byte lock, ptl, in_progress, seq;
byte pte[3], spte[3], owner[4], refs[4], tlb[V];

#define TAKE(which) atomic { which == 0 -> which = 1 }
#define ALLOCATE(frame) owner[frame] == 0 -> owner[frame] = page; refs[frame] = 1; new = frame
#define NONE_FREE (owner[1] != 0 && owner[NP] != 0 && owner[(NP + 1) / 2] != 0)
#define PUT(frame)                                                      \
    d_step { refs[frame]--; yes = (refs[frame] == 0) };                 \
    if :: yes -> yes = 0; owner[frame] = 0 :: else -> yes = 0 fi;       \
    frame = 0

active [V] proctype vcpu() {
    byte n, page, frame, snapshot, new;
    bit yes;
pick:
    if :: page = 1 :: page = 2 fi;
retry:
    snapshot = seq;
    TAKE(ptl);
    new = pte[page];
    if
    :: new == 0 ->
        if
        :: d_step { ALLOCATE(1) }
        :: d_step { ALLOCATE(2) }
#if NP > 2
        :: d_step { ALLOCATE(3) }
#endif
        fi;
        pte[page] = new
    :: else
    fi;
    refs[new]++;
    d_step { frame = new; new = 0 };
    ptl = 0;
    TAKE(lock);
#ifndef BUG
    yes = (in_progress > 0);
    if :: yes -> yes = 0; goto again :: else -> yes = 0 fi;
    yes = (seq != snapshot);
    if :: yes -> yes = 0; goto again :: else -> yes = 0 fi;
#endif
    spte[page] = frame;
    lock = 0;
    goto installed;
again:
    lock = 0;
    PUT(frame);
    goto retry;
installed:
    skip;
    PUT(frame);
    tlb[_pid] = spte[page];
    skip;
    d_step {
        if :: tlb[_pid] != 0 -> assert(owner[tlb[_pid]] == page) :: else fi;
        tlb[_pid] = 0
    };
    if
    :: d_step { n < K - 1 -> page = 0; n++ } -> goto pick
    :: d_step { n == K - 1 -> page = 0; n++ }
    fi;
end:
    false
}

active [I] proctype invalidate() {
    byte n, page, old, new;
    bit yes;
pick:
    if :: page = 1 :: page = 2 fi;
    TAKE(lock);
    in_progress++;
    spte[page] = 0;
    d_step {
        tlb[0] = 0;
#if V > 1
        tlb[1] = 0
#endif
    };
    lock = 0;
    TAKE(ptl);
    old = pte[page];
    pte[page] = 0;
    ptl = 0;
    if :: old != 0 -> skip; PUT(old) :: else fi;
    TAKE(lock);
    seq++;
    in_progress--;
    lock = 0;
    TAKE(ptl);
    new = pte[page];
    if
    :: new != 0 -> new = 0
    :: else ->
        if
        :: NONE_FREE
        :: !NONE_FREE ->
            if
            :: d_step { ALLOCATE(1) }
            :: d_step { ALLOCATE(2) }
#if NP > 2
            :: d_step { ALLOCATE(3) }
#endif
            fi;
            pte[page] = new;
            new = 0
        fi
    fi;
    ptl = 0;
    if
    :: d_step { n < K - 1 -> page = 0; n++ } -> goto pick
    :: d_step { n == K - 1 -> page = 0; n++ }
    fi;
end:
    false
}
