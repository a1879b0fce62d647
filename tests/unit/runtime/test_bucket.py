from weirkeeper.runtime.bucket import Bucket


def test_a_bucket_gives_its_burst_then_its_rate():
    bucket = Bucket(rate=0.5, burst=3, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [0, 0, 0, 2.0]
    assert bucket.take(11.0) == 1.0
    assert not bucket.full(12.0)
    assert bucket.take(12.0) == 0
    assert bucket.take(12.0) == 2.0
    assert bucket.full(30.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0, 0, 0, 2.0]
