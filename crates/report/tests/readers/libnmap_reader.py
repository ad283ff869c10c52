"""What python-libnmap reads from a document, as JSON."""

import json
import sys

from libnmap.parser import NmapParser

report = NmapParser.parse_fromfile(sys.argv[1])
hosts = {}
for host in report.hosts:
    ports = {}
    for service in host.services:
        banner = service.service_dict
        ports[f"{service.port}/{service.protocol}"] = {
            "state": service.state,
            "reason": service.reason,
            "service": service.service,
            "product": banner.get("product", ""),
            "version": banner.get("version", ""),
            "tunnel": service.tunnel,
        }
    hosts[host.address] = {
        "status": host.status,
        "names": sorted(host.hostnames),
        "start": int(host.starttime),
        "ports": ports,
    }
json.dump({"hosts": hosts, "start": int(report.started), "end": int(report.endtime)}, sys.stdout)
