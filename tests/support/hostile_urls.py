"""URLs that lead to internal hosts or that parsers read differently, and the addresses of hostile host names."""

URLS = [
    # this machine, in every notation that some parser takes
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://017700000001/",
    "https://0177.0.0.1/", "https://0177.0.0.01/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0x7f.1/",
    "https://127.0.0.1./", "https://127.0.0.0x1/", "https://00000127.0.0.1/", "https://127.000.000.001/",
    "https://0/", "https://0.0.0.0/", "https://0x0/", "https://0000/", "https://localhost/", "https://LOCALHOST/",
    "https://localhost./", "https://localhost.localdomain./", "https://[::1]/", "https://[::]/", "https://[::127.0.0.1]/",
    "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::1%25lo]/",
    "https://[0:0:0:0:0:ffff:7f00:0001]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::]/", "https://[::1]./", "https://::1/",
    # signs that look like digits, dots or slashes
    "https://\uff11\uff12\uff17.0.0.1/", "https://127\u30020\u30020\u30021/", "https://127\uff0e0.0.1/",
    "https://\u2460\u2461\u2466.0.0.1/", "https://\u24db\u24de\u24d2alhost/", "https://loc\u0430lhost/",
    "https://%31%32%37.0.0.1/", "https://127%2e0%2e0%2e1/", "https://localhost%00.example/", "https://127.0.0.1%23.example/",
    # inside networks and platforms
    "https://10.0.0.1/", "https://172.16.5.4/", "https://192.168.1.1/", "https://100.64.0.1/", "https://169.254.169.254/",
    "https://169.254.169.254/latest/meta-data/", "https://[::ffff:169.254.169.254]/", "https://[fd00:ec2::254]/",
    "https://[fe80::1]/", "https://[fc00::1]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://224.0.0.1/",
    "https://255.255.255.255/", "https://240.0.0.1/", "https://198.18.0.1/", "https://192.0.0.192/",
    "https://100.100.100.200/", "https://168.63.129.16/", "https://metadata/", "https://kubernetes/",
    # who is meant depends on who reads
    "https://127.0.0.1@receiver.example/", "https://receiver.example@127.0.0.1/", "https://a:b@127.0.0.1/",
    "https://receiver.example:443@127.0.0.1:443/", "https://receiver.example\\@127.0.0.1/", "https://127.0.0.1\\.example/",
    "https://receiver.example#@127.0.0.1/", "https://127.0.0.1#.receiver.example/", "https://receiver.example?@127.0.0.1\\",
    "https://@127.0.0.1/", "https:///127.0.0.1/", "https:127.0.0.1", "https:/127.0.0.1/", "//127.0.0.1/", "127.0.0.1",
    "https://127.0.0.1\t/", "https://127.0.\n0.1/", "https://127.0.0.1\r\nHost: x/", " https://127.0.0.1/",
    "https://receiver.example /", "https://receiver.example,127.0.0.1/", "https://[receiver.example]/", "https://[::1/",
    "https://::1]/", "https://[::1]127.0.0.1/", "https://[127.0.0.1]/", "https://[v1.127.0.0.1]/",
    # other ports, other schemes
    "https://receiver.example:22/", "https://receiver.example:8443/", "https://receiver.example:80/",
    "https://receiver.example:0/", "https://receiver.example:65536/", "https://receiver.example:-1/",
    "https://receiver.example:443:443/", "https://receiver.example:\uff14\uff14\uff13/", "https://receiver.example:0x1bb/",
    "http://receiver.example/", "http://receiver.example:443/", "ftp://receiver.example/", "file:///etc/passwd",
    "gopher://127.0.0.1:25/_x", "unix:///run/x.sock", "javascript:alert(1)", "data:,x", "ws://receiver.example/", "https://",
    "", "https://.receiver.example/", "https://receiver..example/", "https://-receiver.example/", "https://receiver.example./",
    f"https://{'a' * 64}.example/", f"https://{'a.' * 130}example/", f"https://receiver.example/{'a' * 2_000}",
    "https://receiver.example/\u00e9", "https://receiver.example/<x>", "https://receiver.example/\x00",
]  # fmt: skip
ADDRESSES = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.0.1", "100.127.0.1",
    "169.254.169.254", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.19.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "::127.0.0.1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
