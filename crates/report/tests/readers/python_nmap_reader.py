"""What python-nmap reads from a document, as JSON."""

import json
import sys

import nmap

with open(sys.argv[1], encoding="utf-8") as document:
    result = nmap.PortScanner().analyse_nmap_xml_scan(document.read())
hosts = {}
for address, host in result["scan"].items():
    ports = {}
    for protocol in ("tcp", "udp"):
        for number, port in host.get(protocol, {}).items():
            ports[f"{number}/{protocol}"] = {
                "state": port["state"],
                "reason": port["reason"],
                "service": port["name"],
                "product": port["product"],
                "version": port["version"],
            }
    hosts[address] = {
        "status": host["status"]["state"],
        "names": sorted(name["name"] for name in host["hostnames"] if name["name"]),
        "ports": ports,
    }
stats = result["nmap"]["scanstats"]
json.dump({"hosts": hosts, "up": int(stats["uphosts"]), "total": int(stats["totalhosts"])}, sys.stdout)
