"""What IVRE's parser reads from a document, as JSON."""

import json
import sys
from xml.sax import make_parser
from xml.sax.handler import feature_external_ges, feature_external_pes

from ivre.xmlnmap import Nmap2Txt

parser = make_parser()
parser.setFeature(feature_external_ges, 0)
parser.setFeature(feature_external_pes, 0)
handler = Nmap2Txt("portolan.xml", None, filehash="0" * 64)
parser.setContentHandler(handler)
parser.setEntityResolver(handler)
parser.parse(sys.argv[1])
hosts = {}
for host in handler._db:
    ports = {}
    for port in host.get("ports", []):
        if port["port"] == -1:
            continue
        ports[f"{port['port']}/{port['protocol']}"] = {
            "state": port["state_state"],
            "reason": port["state_reason"],
            "product": port.get("service_product", ""),
            "version": port.get("service_version", ""),
            "tunnel": port.get("service_tunnel", ""),
        }
        # Guesses by number are not kept.
        if port.get("service_method") == "probed":
            ports[f"{port['port']}/{port['protocol']}"]["service"] = port["service_name"]
    extra = {state: counts["total"] for state, counts in host.get("extraports", {}).items()}
    hosts[host["addr"]] = {
        "names": sorted({name["name"] for name in host.get("hostnames", [])}),
        "start": str(host["starttime"]),
        "ports": ports,
        "extra": extra,
    }
json.dump({"hosts": hosts}, sys.stdout)
