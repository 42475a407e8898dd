"""What the study of both sides of the cache runs: policies, sequences and tasks."""

LEVELS = (1, 1.25, 1.5, 2, 2.5, 3, 3.5, 5)
HALF = 52577                                 # dev.txt's second half begins at this token, between two documents
# Where sequences of 5,121 tokens begin, in each half.
SMALL = ((11800, 35500, 0), (52577, 79900, 107100))
TINY = ((11800, 35500), (52577, 93500))      # of 3,073 tokens
ENDS = ((16500, 40000), (70000, 100000))     # prompts of several lengths end here, so that the decoded tokens are the same ones


def v_only(c): return dict(target='uniform', v=c, share=True, fix='cov', gain=0.5, norm='sample:16,48,64,-1')


def screened(c, bits=2, exact=None): return dict(c=c, stages=[[bits, 0], ['exact', exact or c]])


def planes(c): return dict(c=c, stages=[[2, 0], [6, c], ['exact', 10 * c]], v4=10 * c)


PAPER = dict(target='quantile', v=0.875, law='step', fix='none', paper=1)
K4 = screened(2.5, 4, 10)
AGAIN = screened(2.5) | dict(again=1)
STORED = [dict(stored=bits) for bits in (8, 4, 2)]
FRONTIER = [*map(v_only, LEVELS), *map(screened, LEVELS), AGAIN, PAPER, K4, planes(1), planes(1.5), *STORED]
LENGTHS = [v_only(2.5), screened(1.5), screened(2.5), screened(3.5), planes(1)]
STRESS = [v_only(2.5), screened(2.5)]
TASKS = [v_only(2.5), screened(1.25), screened(2.5), screened(3.5), K4, planes(1), *STORED]


def text(name, model, prompt, starts, policies, steps=1024, warmup=64, **more):
    starts = [start for half in starts for start in half]
    return dict(run=name, model=model, prompt=prompt, starts=starts, policies=policies, steps=steps, warmup=warmup, **more)


def tasks(model, lengths):
    return dict(run='tasks', model=model, policies=TASKS, tasks=[f'{task}:{n}' for n in lengths for task in ('recall', 'recall8')])


def before(ends, prompt): return [[end - prompt for end in half] for half in ends]


def full():
    """Everything, in the order of its use if time runs out."""
    return [text('frontier', 'small', 4096, SMALL, FRONTIER), text('frontier', 'tiny', 2048, TINY, FRONTIER),
            tasks('small', (1024, 2048, 4096, 8192)), tasks('tiny', (1024, 2048, 4096, 8192)),
            *[text('length', 'small', n - 1024, before(ENDS, n - 1024), LENGTHS) for n in (2048, 4096, 8192)],
            text('stress', 'small', 4096, SMALL, STRESS, stress=8), text('stress', 'tiny', 2048, TINY, STRESS, stress=8)]


def reduced():
    """For a machine without a GPU: fewer steps and sequences."""
    some = dict(steps=256, warmup=64)
    one = lambda starts: [half[:1] for half in starts]
    return [text('frontier', 'tiny', 2048, TINY, FRONTIER, **some), text('frontier', 'small', 4096, one(SMALL), FRONTIER, **some),
            text('stress', 'small', 4096, one(SMALL), STRESS, stress=8, **some), text('stress', 'tiny', 2048, TINY, STRESS, stress=8, **some),
            tasks('tiny', (1024,)),
            *[text('length', 'small', n - 1024, one(before(ENDS, n - 1024)), LENGTHS, **some) for n in (2048, 8192)]]


def quick():
    """Only to see that everything runs: one sequence, 64 steps."""
    few = dict(steps=64, warmup=8)
    return [text('frontier', 'tiny', 512, [[0]], FRONTIER, **few), text('stress', 'tiny', 512, [[0]], STRESS, stress=8, **few)]


PLANS = dict(full=full, reduced=reduced, quick=quick)
