module example.com/gpu-watch

go 1.19

require example.com/mimic/integrations/go v0.0.0

// Of a source tree; of an installed Mimic: /usr/local/share/mimic/integrations/go
replace example.com/mimic/integrations/go => ../../integrations/go
