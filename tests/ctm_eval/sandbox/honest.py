# ruff: noqa: E501 (a table of programs)
"""Honest programs whose tests need more than numbers to cross between them: each has to pass."""

HONEST: dict[str, tuple[str, tuple[str, ...]]] = {
    'a subclass of list with methods': (
        'class Stack(list):\n    def push(self,x): self.append(x); return self',
        ('s=Stack()\ns.push(3)\nassert s==[3] and len(s)==1', 's=Stack([1])\nassert s.push(2)==[1,2]'),
    ),
    'a class with operators': (
        "class V:\n    def __init__(s,x,y): s.x,s.y=x,y\n    def __add__(a,b): return V(a.x+b.x,a.y+b.y)\n    def __eq__(a,b): return isinstance(b,V) and (a.x,a.y)==(b.x,b.y)\n    def __mul__(a,k): return V(a.x*k,a.y*k)\n    def __repr__(s): return f'V({s.x}, {s.y})'",
        ('assert V(1,2)+V(3,4)==V(4,6)', 'assert V(1,2)*3==V(3,6)', "assert (V(1,2)*3).x==3 and str(V(1,2))=='V(1, 2)'", 'v=V(1,2)\nv.x=9\nassert v.x==9 and isinstance(v,V)'),
    ),
    'a script that reads its input, below the functions': (
        "import sys, unittest\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\ndef f(x): return P(x*x).x\nif __name__ == '__main__':\n    print(f(int(input())))\n    unittest.main()\n    sys.exit(0)",
        ('assert f(2) == 4',),
    ),
    'generators': (
        'def g(n):\n    for i in range(n): yield i',
        ('assert list(g(3))==[0,1,2]', 'import types\nassert isinstance(g(2),types.GeneratorType)', 'x=g(2)\nassert next(x)==0 and next(x)==1\ntry:\n    next(x)\n    assert False\nexcept StopIteration: pass'),
    ),
    'a function that is returned': (
        'def make(n): return lambda x: x+n',
        ('assert make(3)(4)==7',),
    ),
    'arguments changed in place': (
        "def srt(l):\n    l.sort()\ndef upd(d): d['x']=[1]\ndef nest(l): l[0].append(1)",
        ('l=[3,1]\nassert srt(l) is None\nassert l==[1,3]', "d={}\nupd(d)\nassert d=={'x':[1]}", 'a=[]\nl=[a]\nnest(l)\nassert a==[1] and l[0] is a'),
    ),
    'an argument that is returned': (
        'def f(l): return l',
        ('l=[1]\nassert f(l) is l',),
    ),
    'exceptions that are expected': (
        "class Empty(Exception): pass\ndef f(x):\n    if x<0: raise Empty('neg')\n    return {}[x]",
        ("try:\n    f(-1)\n    assert False\nexcept Empty as e:\n    assert str(e)=='neg'", 'try:\n    f(1)\n    assert False\nexcept KeyError: pass'),
    ),
    'types of the standard library': (
        "from collections import *\nfrom fractions import Fraction\nfrom decimal import Decimal\nimport datetime\ndef f(k): return [Counter('aab'),OrderedDict(a=1),deque([1],maxlen=2),namedtuple('P','x y')(1,2),Fraction(1,3),Decimal('1.1'),datetime.date(2020,1,2),complex(1,2),{1}.union([2]),frozenset([1]),b'x',bytearray(b'y'),range(3),10**5000,{1:2}.keys()][k]",
        ("assert f(0)=={'a':2,'b':1} and f(0).most_common(1)==[('a',2)]", "assert f(1)=={'a':1}", 'assert list(f(2))==[1] and f(2).maxlen==2', 'p=f(3)\nassert p==(1,2) and p.x==1', 'from fractions import Fraction\nassert f(4)==Fraction(1,3)', "from decimal import Decimal as D\nassert f(5)==D('1.1')", 'import datetime\nassert f(6)==datetime.date(2020,1,2)', "assert f(7)==1+2j and f(8)=={1,2} and f(9)=={1} and f(10)==b'x' and f(11)==b'y'", 'assert f(12)==range(3) and f(13)==10**5000', 'assert f(14)=={1}'),
    ),
    'objects of a class that the tests define': (
        'def total(t):\n    return 0 if t is None else t.val+total(t.left)+total(t.right)\ndef build(v): return TreeNode(v)',
        ('class TreeNode:\n    def __init__(s,val,left=None,right=None): s.val,s.left,s.right=val,left,right\nassert total(TreeNode(1,TreeNode(2),TreeNode(3)))==6\nassert build(4).val==4 and isinstance(build(4),TreeNode)',),
    ),
    'print, input and redirected streams': (
        "def hi(n): print('hi',n)\ndef ask(): return int(input())*2",
        ("import io,contextlib\nb=io.StringIO()\nwith contextlib.redirect_stdout(b):\n    hi(3)\nassert b.getvalue()=='hi 3\\n'", "import io,sys\nsys.stdin=io.StringIO('21\\n')\nassert ask()==42", "import builtins\nbuiltins.input=lambda *a:'4'\nassert ask()==8"),
    ),
    "a builtin's name for its function": (
        'def sum(a,b): return a+b',
        ('assert sum(10,15)==25',),
    ),
    "sympy's numbers": (
        "import sympy\ndef f(): return sympy.solve(sympy.Symbol('x')**2-4)\ndef r(): return sympy.Rational(1,3)\ndef q(): return sympy.sqrt(2)",
        ('assert sorted(f())==[-2,2]', 'assert r()==1/3 or float(r())==1/3', 'assert abs(q()-1.41421356)<1e-6'),
    ),
    'a module that the program imported': (
        'import sys\ndef f(t): return sys.getsizeof(t)',
        ('assert f((1,2))==sys.getsizeof((1,2))',),
    ),
    'global variables': (
        'counter=0\ndef inc():\n    global counter\n    counter+=1',
        ('inc()\nassert counter==1\ninc()\nassert counter==2',),
    ),
    'data classes': (
        'from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x:int\n    y:int=0\ndef mk(): return P(1,2)\ndef srt(l): return sorted(l)',
        ('assert mk()==P(1,2)', 'assert srt([P(2),P(1)])==[P(1),P(2)]', 'assert P(1)<P(2) and P(1)!=P(2)'),
    ),
    'enumerations': (
        'import enum\nclass C(enum.Enum):\n    R=1\n    G=2\ndef f(): return C.R',
        ('assert f()==C.R and f() is C.R and f().value==1 and f()!=C.G',),
    ),
    'a context manager': (
        'class T:\n    def __enter__(s): return 5\n    def __exit__(s,*a): return False',
        ('with T() as t:\n    assert t==5',),
    ),
    'membership by a class of its own': (
        'class Trie:\n    def __init__(s): s.w=set()\n    def insert(s,w): s.w.add(w)\n    def __contains__(s,w): return w in s.w\n    def __len__(s): return len(s.w)',
        ("t=Trie()\nt.insert('a')\nassert 'a' in t and 'b' not in t and len(t)==1",),
    ),
    'a deep recursion': (
        'def f(n): return 0 if n==0 else 1+f(n-1)',
        ('assert f(970)==970',),
    ),
    'random choices': (
        'import random\ndef f(l): return random.choice(l)',
        ('assert f([1,2]) in (1,2)',),
    ),
    'lazy results': (
        'def f(l): return map(str,l)\ndef z(a,b): return zip(a,b)',
        ("assert list(f([1,2]))==['1','2']", "assert dict(z('ab',[1,2]))=={'a':1,'b':2}", "assert '1' in f([1])"),
    ),
    'functions as arguments': (
        'def ap(f,l): return [f(x) for x in l]\ndef comp(f,g): return lambda x: f(g(x))',
        ("assert ap(str,[1])==['1'] and ap(lambda x:x*x,[2])==[4]", 'assert comp(lambda x:x+1,lambda x:x*2)(3)==7', 'assert sorted([3,1],key=comp(abs,int))==[1,3]'),
    ),
    'a generator as an argument': (
        'def s(it): return sum(it)',
        ('assert s(x for x in [1,2,3])==6', 'assert s(iter([1,2]))==3'),
    ),
    'nothing returned': (
        'def f(): pass',
        ('assert f() is None',),
    ),
    'an iterator': (
        'class It:\n    def __init__(s,n): s.n=n\n    def __iter__(s): return s\n    def __next__(s):\n        if s.n==0: raise StopIteration\n        s.n-=1\n        return s.n',
        ('assert list(It(3))==[2,1,0]', 'i=It(1)\nnext(i)\ntry:\n    next(i)\n    assert False\nexcept StopIteration: pass'),
    ),
    'a coroutine': (
        'import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x+1',
        ('import asyncio\nassert asyncio.run(f(1))==2',),
    ),
    'a unittest': (
        'def f(x): return x+1',
        ('import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(1),2)\nr=unittest.TestResult()\nunittest.defaultTestLoader.loadTestsFromTestCase(T).run(r)\nassert r.wasSuccessful() and r.testsRun==1',),
    ),
    'attributes of a function': (
        'def f(): return 1\nX=5',
        ("assert callable(f) and f.__name__=='f' and X==5",),
    ),
    'truth': (
        'def f(n): return n>1',
        ('assert f(2) is True and not f(0)',),
    ),
}  # fmt: skip
