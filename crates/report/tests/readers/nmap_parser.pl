# What Perl's Nmap::Parser reads from a document, a line for each thing.
use strict;
use warnings;
use Nmap::Parser;

my $parser = Nmap::Parser->new;
$parser->parsefile($ARGV[0]);
my $session = $parser->get_session;
print join("\t", "session", $session->start_time, $session->finish_time), "\n";
for my $host ($parser->all_hosts) {
    print join("\t", "host", $host->addr, $host->status, join(",", sort $host->all_hostnames)), "\n";
    for my $port ($host->tcp_ports) {
        my $service = $host->tcp_service($port);
        print join("\t", "port", $host->addr, "$port/tcp", $host->tcp_port_state($port),
            $service->name // "", $service->product // "", $service->version // "",
            $service->tunnel // ""), "\n";
    }
    for my $port ($host->udp_ports) {
        my $service = $host->udp_service($port);
        print join("\t", "port", $host->addr, "$port/udp", $host->udp_port_state($port),
            $service->name // "", $service->product // "", $service->version // "",
            $service->tunnel // ""), "\n";
    }
}
