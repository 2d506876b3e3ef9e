// Tells the portal around this frame that the application is installed: before that it sends no events.
"use strict";
if (window.BX24) BX24.init(() => BX24.installFinish());
