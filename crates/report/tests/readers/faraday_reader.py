"""What faraday-plugins reads from a document, as JSON."""

import json
import sys

from faraday_plugins.plugins.manager import PluginsManager, ReportAnalyzer

manager = PluginsManager()
plugin = ReportAnalyzer(manager).get_plugin(sys.argv[1])
assert plugin is not None, "no plugin takes the document for its own"
plugin.processReport(sys.argv[1])
hosts = {}
for host in plugin.get_data()["hosts"]:
    ports = {}
    for service in host["services"]:
        ports[f"{service['port']}/{service['protocol']}"] = {
            "open_or_closed": service["status"],
            "service_over_tls": service["name"],
            "both": service["version"],
        }
    hosts[host["ip"]] = {"names": sorted(host["hostnames"]), "ports": ports}
json.dump({"plugin": plugin.id, "hosts": hosts}, sys.stdout)
